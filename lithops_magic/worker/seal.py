"""The code that proves that a reply is the function's own: of this job, to this very request, and as it was written."""

from __future__ import annotations

import hmac
import json
from typing import Any

ROOM = len(', "seal": ""') + 64
"""Characters that it takes in a reply."""


def label(key: bytes) -> str:
    """Name a job in the logs; says nothing of its key."""
    return hmac.digest(key, b"log", "sha256").hex()[:12]


def sealed(reply: dict[str, Any], key: bytes, request: str) -> dict[str, Any]:
    """Return the reply with its seal."""
    return {**reply, "seal": _code(reply, key, request)}


def is_sealed(reply: dict[str, Any], key: bytes, request: str) -> bool:
    """Whether the reply, as it was parsed, was sealed with the job's key in answer to that request."""
    seal = reply.get("seal")
    if not isinstance(seal, str) or not seal.isascii():
        return False
    rest = {name: value for name, value in reply.items() if name != "seal"}
    return hmac.compare_digest(seal, _code(rest, key, request))


def _code(reply: dict[str, Any], key: bytes, request: str) -> str:
    # The runtime writes JSON in a way of its own: what is signed is how both ends write what it says.
    text = f"reply to {request}: {json.dumps(reply)}"
    return hmac.digest(key, text.encode(), "sha256").hex()
