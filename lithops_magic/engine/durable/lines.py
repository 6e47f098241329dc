"""Lines with checksums, the format of all files in a job's folder. Damage to a line affects no other line.

Not SQLite: it takes a quarter more CPU for the same records (0.41 s versus 0.33 s for 100,000 of 280 bytes), one
damaged page can cost the entire database, and it is unsafe on network file systems, where home folders often are.
"""

from __future__ import annotations

import base64
import json
import zlib
from binascii import b2a_base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_RAW, _BASE64 = b"\t", b"\f"
"""Separates the JSON from the bytes after it, raw or in base64; JSON contains neither character."""
_LARGE = 65_536
"""Bytes from which data are a piece of their own."""
_CHECKSUM = 8
"""Hexadecimal digits at the start of a line."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What was read."""

    bodies: list[tuple[Any, bytes]]
    """JSON, and the bytes stored with it."""
    damaged: int
    """Number of damaged lines."""
    size: int
    """Offset in bytes after the last complete line."""


def encode(head: Any, data: bytes = b"") -> bytes:
    """Return a line with plain data, and optional bytes."""
    return b"".join(pieces(head, data))


def pieces(head: Any, data: bytes = b"") -> list[bytes]:
    """Return such a line in pieces: large data are not copied."""
    body = json.dumps(head, separators=(",", ":")).encode()
    if data:
        # A newline may only end a line. Worker replies contain none.
        mark, data = (_BASE64, b2a_base64(data, newline=False)) if b"\n" in data else (_RAW, data)
        body += mark
    if len(data) < _LARGE:
        body += data
        return [b"%08x %s\n" % (zlib.crc32(body), body)]
    return [b"%08x %s" % (zlib.crc32(data, zlib.crc32(body)), body), data, b"\n"]


def decode(data: bytes) -> Lines:
    """Return the lines of a file, without an unfinished one at its end."""
    # A process that was killed while writing leaves an unfinished line, which the next writer cuts off.
    size = data.rfind(b"\n") + 1
    lines = data[:size].split(b"\n")[:-1]
    bodies = list(_bodies(lines))
    return Lines([body for body in bodies if body is not None], bodies.count(None), size)


def _bodies(lines: Iterable[bytes]) -> Iterable[tuple[Any, bytes] | None]:
    for line in lines:
        body = line[_CHECKSUM + 1 :]
        yield _parse(body) if line[: _CHECKSUM + 1] == b"%08x " % zlib.crc32(body) else None


def _parse(body: bytes) -> tuple[Any, bytes]:
    head, mark, data = body.partition(_RAW)
    if not mark:
        head, mark, encoded = body.partition(_BASE64)
        data = base64.b64decode(encoded)
    return json.loads(head), data
