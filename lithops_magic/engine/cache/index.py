"""The format of cached values in S3: packs of many small values, and indexes that locate each value.

An index is named by its own hash and contains the hashes of its pack and of every value in it. Looking up 100,000
items takes one list of the indexes and one request for each, and only data that match their hash are unpickled.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MAGIC = b"lambda-cache-1\n"
_HEAD = struct.Struct("<32sQ")
_ENTRY = struct.Struct("<32s32sQQIfdB")
HEAD_SIZE, ENTRY_SIZE = len(MAGIC) + _HEAD.size, _ENTRY.size


@dataclass(frozen=True, slots=True)
class Pack:
    """An S3 object with many values."""

    sha256: str
    size: int
    days: int = 0
    """Days after which S3 deletes it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value: its location, and what it took to compute."""

    key: bytes
    """Names it among the values of its function."""
    sha256: bytes
    size: int
    offset: int
    """Offset in its pack; its metadata follow it."""
    metadata_size: int
    seconds: float
    cost: float
    """USD at list price."""
    alone: bool
    """Whether it is an object of its own, named by its hash; the pack then holds only its metadata."""
    pack: Pack = field(default=Pack("", 0), compare=False)


def encode(pack: bytes, entries: Iterable[Entry]) -> bytes:
    """Return the index of a pack."""
    packed = [
        _ENTRY.pack(one.key, one.sha256, one.size, one.offset, one.metadata_size, one.seconds, one.cost, one.alone)
        for one in entries
    ]
    return b"".join((MAGIC, _HEAD.pack(hashlib.sha256(pack).digest(), len(pack)), *packed))


def decode(index: bytes, days: int) -> Iterator[Entry]:
    """Yield the entries of an index.

    Raises
    ------
    ValueError
        It is not an index, or has another format version.
    """
    if not index.startswith(MAGIC) or (len(index) - HEAD_SIZE) % ENTRY_SIZE:
        raise ValueError("this is not an index of cached values")
    sha256, size = _HEAD.unpack_from(index, len(MAGIC))
    pack = Pack(sha256.hex(), size, days)
    entries = memoryview(index)[HEAD_SIZE:]
    for key, digest, length, offset, metadata, seconds, cost, alone in _ENTRY.iter_unpack(entries):
        yield Entry(key, digest, length, offset, metadata, seconds, cost, bool(alone), pack)


def count(size: int) -> int:
    """Return how many values an index of that many bytes has."""
    return max(0, size - HEAD_SIZE) // ENTRY_SIZE
