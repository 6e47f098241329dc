"""A function that does exactly what its event says, to see how the service responds without our worker."""

from __future__ import annotations

import io
import zipfile

HANDLER = "probe.handle"
TIMEOUT = 3
"""Seconds."""
MEMORY = 128
"""MB."""

SOURCE = """
import os, sys, time

def handle(event, context):
    kind = event.get("do")
    if kind == "return":
        return "a" * event["size"]
    if kind == "raise":
        raise ValueError("told to")
    if kind == "unserializable":
        return {1, 2}
    if kind == "exit":
        os._exit(event["status"])
    if kind == "sleep":
        time.sleep(event["seconds"])
    if kind == "memory":
        return len(bytearray(os.urandom(1) * (event["size"] << 20)))
    if kind == "print":
        print(event["text"])
    return {"id": context.aws_request_id, "memory": context.memory_limit_in_mb, "cold": _cold()}

_calls = []

def _cold():
    _calls.append(None)
    return len(_calls) == 1
"""


def package() -> bytes:
    """Return the function's deployment package, the same each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        # With a fixed date, so that the hash in the function's name does not change.
        entry = zipfile.ZipInfo("probe.py", (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, SOURCE)
    return buffer.getvalue()
