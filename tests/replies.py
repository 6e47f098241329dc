"""The worker's replies as tests read and make them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from lithops_magic.engine.wire.reply import decode
from lithops_magic.worker import seal


def opened(reply: bytes) -> dict[str, Any]:
    """The fields of a reply, each value with its outcome, as the wire format also allows."""
    fields: dict[str, Any] = json.loads(reply)
    fields.pop("values", None)
    if any(type(outcome.get("value")) is int for outcome in fields.get("outcomes", ())):
        read = decode(reply).outcomes
        for outcome in fields["outcomes"]:
            if type(outcome.get("value")) is int:
                outcome["value"] = b64encode(read[outcome["id"]].value).decode()
    return fields


def sealed(fields: dict[str, Any], key: bytes, request: str) -> bytes:
    """A reply with these fields, sealed."""
    rest = {name: value for name, value in fields.items() if name != "seal"}
    return seal.sealed([json.dumps(rest).encode()[1:]], key, request)
