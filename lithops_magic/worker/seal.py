"""The authentication code of a reply: proves that it is unaltered, of this job, and to this request."""

from __future__ import annotations

import hmac
import json
from typing import Any

ROOM = len(', "seal": ""') + 64
"""Characters that the seal takes in a reply."""


def label(key: bytes) -> str:
    """Return a job's name for the logs, which reveals nothing of its key."""
    return hmac.digest(key, b"log", "sha256").hex()[:12]


def sealed(reply: dict[str, Any], key: bytes, request: str) -> dict[str, Any]:
    """Return the reply with its seal."""
    return {**reply, "seal": _code(reply, key, request)}


def is_sealed(reply: dict[str, Any], key: bytes, request: str) -> bool:
    """Whether the parsed reply was sealed with the job's key for that request."""
    seal = reply.get("seal")
    if not isinstance(seal, str) or not seal.isascii():
        return False
    rest = {name: value for name, value in reply.items() if name != "seal"}
    return hmac.compare_digest(seal, _code(rest, key, request))


def _code(reply: dict[str, Any], key: bytes, request: str) -> str:
    # The runtime formats JSON differently: both ends sign their own serialization of the content.
    text = f"reply to {request}: {json.dumps(reply)}"
    return hmac.digest(key, text.encode(), "sha256").hex()
