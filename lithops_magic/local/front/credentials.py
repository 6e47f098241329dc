"""The credentials this server accepts, and the identity that a signature proves."""

from __future__ import annotations

import hmac
import re
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class Reason(Enum):
    """Why a request is refused; `error_replies.py` words it as each service does."""

    UNSIGNED = "Request is missing Authentication Token"
    MALFORMED = "The request's authentication information is incomplete or malformed."
    UNKNOWN_KEY = "The security token included in the request is invalid: this access key is not one of this local AWS."
    BAD_TOKEN = "The security token included in the request is invalid."
    MISMATCH = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method."
    )
    SKEWED = "The difference between the request time and the server's time is too large."
    EXPIRED = "Request has expired"
    PAYLOAD = "The provided 'x-amz-content-sha256' header does not match what was computed."


class Refused(Exception):
    """A request that is not correctly signed."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Credential:
    """One pair of keys this server accepts."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    internal: bool = False
    """Used by the server's own components: their requests are not counted."""


def random_id(prefix: str) -> str:
    """Return an access key ID."""
    # AWS's own are base 32.
    alphabet = string.ascii_uppercase + "234567"
    return prefix + "".join(secrets.choice(alphabet) for _ in range(16))


class Keyring:
    """The credentials that are currently valid."""

    def __init__(self, credentials: Iterable[Credential]) -> None:
        self._by_id = {credential.access_key_id: credential for credential in credentials}

    def add(self, credential: Credential) -> None:
        self._by_id[credential.access_key_id] = credential

    def accept_issued(self, answer: str) -> None:
        """Accept from now on the keys in a response to AssumeRole, GetSessionToken, CreateAccessKey…"""
        found = [re.search(rf"<{tag}>(.+?)</{tag}>", answer) for tag in ("AccessKeyId", "SecretAccessKey")]
        if found[0] and found[1]:
            token = re.search(r"<SessionToken>(.+?)</SessionToken>", answer)
            self.add(Credential(found[0][1], found[1][1], token[1] if token else None))

    def find(self, access_key_id: str, session_token: str | None) -> Credential:
        credential = self._by_id.get(access_key_id)
        if credential is None:
            raise Refused(Reason.UNKNOWN_KEY)
        if not hmac.compare_digest((credential.session_token or "").encode(), (session_token or "").encode()):
            raise Refused(Reason.BAD_TOKEN)
        return credential


@dataclass(frozen=True, slots=True)
class Signed:
    """The parts of an HTTP request that a signature covers, as they came over the wire."""

    method: str
    url: str
    """Scheme, host, and the path and query still percent-encoded."""
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a request, and to which service."""

    credential: Credential
    service: str
    """The signing name: `s3`, `lambda`, `elasticfilesystem`…"""
    region: str
