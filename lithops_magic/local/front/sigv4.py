"""Checks that a request was signed with one of this server's credentials: SigV4, and S3's older presigned URLs."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest, HTTPHeaders
from botocore.credentials import Credentials

from lithops_magic.local.front import presigned_v2
from lithops_magic.local.front.credentials import Credential, Identity, Keyring, Reason, Refused, Signed

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = 15 * 60
"""Allowed clock skew in seconds (IAM User Guide, "Elements of an AWS API request signature")."""

MAX_EXPIRES = 7 * 24 * 3600
"""Seconds a presigned URL may live (Amazon S3 API Reference, "Authenticating requests: using query parameters")."""


_HASH = "x-amz-content-sha256"


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request states about its signature."""

    credential: Credential
    date: str
    region: str
    service: str
    timestamp: str
    signed_headers: frozenset[str]
    signature: str


def claimed_service(request: Signed) -> str | None:
    """Return the signing name a request carries, whether or not its signature is valid."""
    authorization = request.header("authorization") or ""
    query = parse_qs(urlsplit(request.url).query)
    if presigned_v2.MARK in query:
        return "s3"
    scope = _parameters(authorization).get("Credential") or query.get("X-Amz-Credential", [""])[0]
    parts = scope.split("/")
    return parts[-2] if len(parts) >= 5 else None


def verify(keyring: Keyring, request: Signed, now: float | None = None) -> Identity:
    """Return who signed `request`.

    Parameters
    ----------
    now : float, optional
        Seconds since the epoch; the clock when omitted.

    Raises
    ------
    Refused
        The request is unsigned, too old, or its signature or body is not the signer's.
    """
    now = time.time() if now is None else now
    claim = _claimed(keyring, request, now)
    if claim is None:
        return presigned_v2.verify(keyring, request, now)
    if request.header("authorization") is not None:
        _check_signature(claim, request, request.url)
        _check_body(claim, request)
    else:
        _check_signature(claim, request, _without(request.url, "X-Amz-Signature"), presigned=True)
    return Identity(claim.credential, claim.service, claim.region)


def check_head(keyring: Keyring, request: Signed) -> None:
    """Refuse, before reading its body, a request whose headers show no recent signature by a known key.

    Raises
    ------
    Refused
        It is unsigned, too old, or signed with an unknown key.
    """
    _claimed(keyring, request, time.time())


def _claimed(keyring: Keyring, request: Signed, now: float) -> _Claim | None:
    """Return what the headers claim; None for S3's older presigned URLs."""
    authorization = request.header("authorization")
    query = parse_qs(urlsplit(request.url).query, keep_blank_values=True)
    if authorization is not None:
        claim = _header_claim(keyring, authorization, request)
        _check_age(claim.timestamp, now, MAX_SKEW)
        return claim
    if "X-Amz-Signature" in query:
        claim = _query_claim(keyring, query)
        _check_age(claim.timestamp, now, _expires(query), expired=Reason.EXPIRED)
        return claim
    if presigned_v2.MARK in query:
        return None
    raise Refused(Reason.UNSIGNED)


def _parameters(authorization: str) -> dict[str, str]:
    _, _, rest = authorization.partition(" ")
    pairs = (part.strip().partition("=") for part in rest.split(","))
    return {name: value for name, _, value in pairs}


def _header_claim(keyring: Keyring, authorization: str, request: Signed) -> _Claim:
    if not authorization.startswith(ALGORITHM + " "):
        raise Refused(Reason.MALFORMED)
    given = _parameters(authorization)
    return _claim(
        keyring,
        scope=given.get("Credential", ""),
        token=request.header("x-amz-security-token"),
        timestamp=request.header("x-amz-date") or "",
        signed_headers=given.get("SignedHeaders", ""),
        signature=given.get("Signature", ""),
    )


def _query_claim(keyring: Keyring, query: dict[str, list[str]]) -> _Claim:
    def value(name: str) -> str:
        return query.get(name, [""])[0]

    if value("X-Amz-Algorithm") != ALGORITHM:
        raise Refused(Reason.MALFORMED)
    return _claim(
        keyring,
        scope=value("X-Amz-Credential"),
        token=value("X-Amz-Security-Token") or None,
        timestamp=value("X-Amz-Date"),
        signed_headers=value("X-Amz-SignedHeaders"),
        signature=value("X-Amz-Signature"),
    )


def _claim(
    keyring: Keyring, *, scope: str, token: str | None, timestamp: str, signed_headers: str, signature: str
) -> _Claim:
    parts = scope.split("/")
    names = frozenset(signed_headers.split(";"))
    if len(parts) != 5 or parts[4] != "aws4_request" or "host" not in names or not timestamp.startswith(parts[1]):
        raise Refused(Reason.MALFORMED)
    access_key_id, date, region, service, _ = parts
    return _Claim(keyring.find(access_key_id, token), date, region, service, timestamp, names, signature)


def _check_age(timestamp: str, now: float, lifetime: float, expired: Reason = Reason.SKEWED) -> None:
    try:
        made = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Refused(Reason.MALFORMED) from None
    if made - now > MAX_SKEW:
        raise Refused(Reason.SKEWED)
    if now - made > lifetime:
        raise Refused(expired)


def _expires(query: dict[str, list[str]]) -> int:
    given = query.get("X-Amz-Expires", [""])[0]
    if not given.isdecimal() or int(given) > MAX_EXPIRES:
        raise Refused(Reason.MALFORMED)
    return int(given)


def _check_signature(claim: _Claim, request: Signed, url: str, *, presigned: bool = False) -> None:
    keys = Credentials(claim.credential.access_key_id, claim.credential.secret_access_key)
    signer_type = _S3Signer if claim.service == "s3" else _Signer
    signer = signer_type(keys, claim.service, claim.region)
    headers: Any = HTTPHeaders()
    for name, value in request.headers:
        if name in claim.signed_headers:
            headers[name] = value
    declared = request.header(_HASH) or ("UNSIGNED-PAYLOAD" if presigned and claim.service == "s3" else None)
    # botocore takes the payload's hash from this header; senders need not have signed it.
    if declared is not None and _HASH not in headers:
        headers[_HASH] = declared
    signed = AWSRequest(method=request.method, url=url, headers=headers, data=request.body)
    signed.context.update(timestamp=claim.timestamp, signed_headers=claim.signed_headers)
    expected = signer.signature(signer.string_to_sign(signed, signer.canonical_request(signed)), signed)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise Refused(Reason.MISMATCH)


def _check_body(claim: _Claim, request: Signed) -> None:
    declared = request.header(_HASH)
    # S3's clients may leave the body out of the signature, or sign it in chunks.
    unhashed = claim.service == "s3" and declared is not None and declared.startswith(("UNSIGNED-", "STREAMING-"))
    if declared is not None and not unhashed and declared != sha256(request.body).hexdigest():
        raise Refused(Reason.PAYLOAD)


def _without(url: str, parameter: str) -> str:
    parts = urlsplit(url)
    others = "&".join(pair for pair in parts.query.split("&") if pair.partition("=")[0] != parameter)
    return urlunsplit(parts._replace(query=others))


class _Signer(SigV4Auth):
    """botocore's signer for the headers the sender signed (other SDKs sign other headers than botocore)."""

    def headers_to_sign(self, request: Any) -> HTTPHeaders:
        chosen = HTTPHeaders()
        for name, value in request.headers.items():
            if name in request.context["signed_headers"]:
                chosen[name] = value
        return chosen


class _S3Signer(_Signer, S3SigV4Auth):
    pass
