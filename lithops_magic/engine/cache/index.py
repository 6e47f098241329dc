"""The form of cached values in S3: packs of many small ones, and indexes that say which value stands where.

An index is named by its hash, and has the hash of its pack and of every value in it. So a look-up of 100,000 items
takes one list of the indexes and a request for each, and nothing is unpickled that is not what was written.
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
    """An object of many values."""

    sha256: str
    size: int
    days: int = 0
    """After which S3 deletes it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value: where it is, and what it took to compute it."""

    key: bytes
    """Names it among those of its function."""
    sha256: bytes
    size: int
    offset: int
    """In its pack; what is told of it stands behind it."""
    told_size: int
    seconds: float
    cost: float
    """USD at list price."""
    alone: bool
    """Whether it is an object of its own, named by its hash; only what is told of it is in the pack then."""
    pack: Pack = field(default=Pack("", 0), compare=False)


def encode(pack: bytes, entries: Iterable[Entry]) -> bytes:
    """Return the index of a pack."""
    packed = [
        _ENTRY.pack(one.key, one.sha256, one.size, one.offset, one.told_size, one.seconds, one.cost, one.alone)
        for one in entries
    ]
    return b"".join((MAGIC, _HEAD.pack(hashlib.sha256(pack).digest(), len(pack)), *packed))


def decode(index: bytes, days: int) -> Iterator[Entry]:
    """Yield the entries of an index.

    Raises
    ------
    ValueError
        It is none, or of another format.
    """
    if not index.startswith(MAGIC) or (len(index) - HEAD_SIZE) % ENTRY_SIZE:
        raise ValueError("this is not an index of cached values")
    sha256, size = _HEAD.unpack_from(index, len(MAGIC))
    pack = Pack(sha256.hex(), size, days)
    for key, digest, length, offset, log, seconds, cost, alone in _ENTRY.iter_unpack(memoryview(index)[HEAD_SIZE:]):
        yield Entry(key, digest, length, offset, log, seconds, cost, bool(alone), pack)


def count(size: int) -> int:
    """Return how many values an index of so many bytes has."""
    return max(0, size - HEAD_SIZE) // ENTRY_SIZE
