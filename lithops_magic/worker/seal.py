"""The seal of a reply: proves that it is unaltered, of this job, and to this request."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

LENGTH = len('{"seal": "", ') + 64
"""Characters at the start of a reply: its seal, and the brace that opens it."""


def label(key: bytes) -> str:
    """Return a job's name for the logs, which reveals nothing of its key."""
    return hmac.digest(key, b"log", "sha256").hex()[:12]


def sealed(parts: Iterable[bytes], key: bytes, request: str) -> bytes:
    """Return a reply with its seal, given its JSON in parts, without the brace that opens it."""
    return b"".join([_seal(parts, key, request), *parts])


def is_sealed(reply: bytes, key: bytes, request: str) -> bool:
    """Whether the reply was sealed with the job's key for that request, and is the same to the last bit."""
    return hmac.compare_digest(reply[:LENGTH], _seal([memoryview(reply)[LENGTH:]], key, request))


def _seal(parts: Iterable[bytes | memoryview], key: bytes, request: str) -> bytes:
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(part)
    code = hmac.digest(key, f"reply to {request}: ".encode() + sha256.digest(), "sha256")
    return b'{"seal": "%s", ' % code.hex().encode()
