"""Checks S3's older presigned URLs, signed by AWS's signature version 2.

Without this, no URL of a plain `generate_presigned_url` would work here: for regions opened before 2014, us-east-1
among them, boto3 still creates this kind unless given `signature_version="s3v4"`.
"""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.auth import HmacV1QueryAuth
from botocore.awsrequest import HTTPHeaders
from botocore.credentials import Credentials

from lithops_magic.local.front.credentials import Credential, Identity, Keyring, Reason, Refused, Signed

MARK = "AWSAccessKeyId"
"""The query parameter that marks such a URL."""


def verify(keyring: Keyring, request: Signed, now: float) -> Identity:
    """Return who signed the URL of `request`.

    Raises
    ------
    Refused
        The URL has expired or was tampered with.
    """
    query = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query, keep_blank_values=True).items()}
    expires = query.get("Expires", "")
    if not expires.isdecimal():
        raise Refused(Reason.MALFORMED)
    credential = keyring.find(query[MARK], query.get("x-amz-security-token"))
    expected = _signature(credential, request, query, expires)
    if not hmac.compare_digest(expected.encode(), query.get("Signature", "").encode()):
        raise Refused(Reason.MISMATCH)
    if now > int(expires):
        raise Refused(Reason.EXPIRED)
    return Identity(credential, "s3", "us-east-1")


def _signature(credential: Credential, request: Signed, query: dict[str, str], expires: str) -> str:
    headers: Any = HTTPHeaders()
    for name, value in [*query.items(), *request.headers]:
        if name.startswith("x-amz-") and name not in headers:
            headers[name] = value
    for name, value in request.headers:
        if name in ("content-md5", "content-type"):
            headers[name] = value
    keys = Credentials(credential.access_key_id, credential.secret_access_key, credential.session_token)
    parts = urlsplit(request.url)
    bucket = host_bucket(parts.netloc)
    auth_path = f"/{bucket}{parts.path}" if bucket else None
    signature: str = _Signer(keys, expires).get_signature(request.method, parts, headers, auth_path=auth_path)
    return signature


class _Signer(HmacV1QueryAuth):
    """botocore's signer with a given expiry time."""

    def __init__(self, credentials: Credentials, expires: str) -> None:
        super().__init__(credentials)
        self._date = expires

    def _get_date(self) -> str:
        return self._date


def host_bucket(host: str) -> str | None:
    """Return the bucket a virtual-hosted-style `Host` names (`photos.localhost:4566`, `photos.s3.amazonaws.com`)."""
    name = host.rpartition(":")[0] or host
    for marker in (".s3.", ".s3-"):
        bucket, found, _ = name.partition(marker)
        if found:
            return bucket
    return name.removesuffix(".localhost") if name.endswith(".localhost") else None
