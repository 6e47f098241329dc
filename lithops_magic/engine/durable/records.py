"""What a job's journal is made of: records that are only ever appended, so that a killed process costs the last one."""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lithops_magic.aws.invoke.outcomes import Ambiguous, Reply
from lithops_magic.aws.invoke.report import Report
from lithops_magic.engine.wire.reply import Vouched
from lithops_magic.worker import packing

SLICE = 1_000_000
"""Bytes of items that are pickled at a time: more would hold up the job, whose threads share one interpreter."""
_FRAME = struct.Struct("<II")
"""Size and checksum of what follows."""


@dataclass(frozen=True, slots=True)
class Items:
    """The next items of a sequence."""

    container: bytes
    """A list of them, as `worker.packing` packs it."""


@dataclass(frozen=True, slots=True)
class Unsendable:
    """In a list of items, one that cannot be pickled."""

    text: str


@dataclass(frozen=True, slots=True)
class Taken:
    """An item that came from an iterator."""

    index: int
    fragment: bytes
    """As it stands in a request; empty if it cannot be pickled."""


@dataclass(frozen=True, slots=True)
class Counted:
    """There are no other items."""

    total: int


@dataclass(frozen=True, slots=True)
class Sent:
    """An invocation is about to be sent."""

    tasks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """An invocation was executed, or may have been."""

    tasks: tuple[int, ...]
    outcome: Reply | Ambiguous


Record = Items | Taken | Counted | Sent | Answered

_Answer = tuple[tuple[int, ...], bytes, str | None, str, tuple[Any, ...] | None]
Note = Record | tuple[tuple[int, ...]] | _Answer
"""What is to be written: most of it as plain tuples, `Sent` and `Answered` laid open. Python's garbage collector leaves
those alone, and walks through every object of a class again and again."""


class RecalledReply(Vouched):
    """An answer that came from a journal."""

    __slots__ = ()


class RecalledAmbiguous(Ambiguous):
    """A broken connection that a journal tells of."""

    __slots__ = ()


def record(note: Note) -> Record:
    """Return the record that a note stands for."""
    match note:
        case (tasks,):
            return Sent(tasks)
        case (tasks, payload, error, request_id, report):
            return Answered(tasks, Reply(payload, error, "", request_id, Report(*report) if report else None))
        case _:
            return note


def encode(records: Iterable[Record]) -> bytes:
    """Return records as they stand in a journal."""
    parts = []
    for record in records:
        data = pickle.dumps(record, protocol=5)
        parts += [_FRAME.pack(len(data), zlib.crc32(data)), data]
    return b"".join(parts)


def read(path: Path) -> tuple[list[Record], int]:
    """Return a journal's records, and the bytes up to where one was not written to its end."""
    found: list[Record] = []
    end = 0
    with path.open("rb") as file:
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            size, checksum = _FRAME.unpack(frame)
            data = file.read(size)
            if len(data) < size or zlib.crc32(data) != checksum:
                break
            # The folder is the user's own, and nobody else can write to it.
            found.append(pickle.loads(data))
            end = file.tell()
    return found, end


def slices(items: Sequence[Any] | None) -> Iterator[bytes]:
    """Pickle a sequence in pieces of about `SLICE` bytes."""
    start, count = 0, 1
    while items is not None and start < len(items):
        container = _pack(list(items[start : start + count]))
        yield container
        start += count
        count = max(1, min(count * 16, int(count * SLICE / len(container))))


def _pack(items: list[Any]) -> bytes:
    try:
        return packing.dumps(items)
    except Exception:
        return packing.dumps([_packable(item) for item in items])


def _packable(item: Any) -> Any:
    try:
        packing.dumps(item)
    except Exception as error:
        return Unsendable(f"{type(error).__name__}: {error}")
    return item
