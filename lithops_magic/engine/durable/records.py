"""The records of a job's journal: append-only, so that a killed process loses at most the last one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lithops_magic.aws.invoke.outcomes import Ambiguous, Reply
from lithops_magic.aws.invoke.report import InvocationReport
from lithops_magic.engine.durable import lines, private
from lithops_magic.engine.wire.reply import VerifiedReply
from lithops_magic.worker import packing

SLICE = 1_000_000
"""Bytes of items pickled at a time: more would hold up the job, since all threads share the interpreter."""


@dataclass(frozen=True, slots=True)
class ItemSlice:
    """Consecutive items of a sequence."""

    start: int
    count: int
    container: bytes
    """List of the items, as packed by `worker.packing`."""
    unsendable: Mapping[int, str]
    """Why some items, which are None in that list, cannot be pickled."""


@dataclass(frozen=True, slots=True)
class SingleItem:
    """An item that came from an iterator."""

    index: int
    fragment: bytes
    """As encoded in a request; empty if it cannot be pickled."""


@dataclass(frozen=True, slots=True)
class ItemCount:
    """There are no more items."""

    total: int


@dataclass(frozen=True, slots=True)
class Sent:
    """An invocation is about to be sent."""

    tasks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Executed:
    """An invocation was executed, or may have been."""

    tasks: tuple[int, ...]
    outcome: Reply | Ambiguous


Record = ItemSlice | SingleItem | ItemCount | Sent | Executed

_Answer = tuple[tuple[int, ...], bytes, str | None, str, tuple[Any, ...] | None]
Note = Record | tuple[tuple[int, ...]] | _Answer
"""A record to write; most are plain tuples, with the fields of `Sent` and `Executed`: Python's garbage collector
skips those but traverses instances of a class over and over."""


class RecalledReply(VerifiedReply):
    """A reply from a journal."""

    __slots__ = ()


class RecalledAmbiguous(Ambiguous):
    """A broken connection recorded in a journal."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A journal's records from some offset on."""

    records: list[Record]
    damaged: int
    """Unreadable records, which are left out."""
    end: int
    """Offset in bytes of the first unfinished record."""


def encode(notes: Iterable[Note]) -> list[bytes]:
    """Return records as encoded in a journal, in pieces."""
    return [piece for note in notes for piece in _encode(note)]


def _encode(note: Note) -> list[bytes]:
    match note:
        case (tasks,):
            return lines.pieces(["sent", tasks])
        case (tasks, payload, error, request_id, report):
            return lines.pieces(["reply", tasks, error, request_id, report], payload)
        case Sent(tasks):
            return lines.pieces(["sent", tasks])
        case Executed(tasks, Reply() as reply):
            return lines.pieces(["reply", tasks, reply.function_error, reply.request_id, reply.report], reply.payload)
        case Executed(tasks, Ambiguous(message)):
            return lines.pieces(["lost", tasks, message])
        case SingleItem(index, fragment):
            return lines.pieces(["item", index], fragment)
        case ItemSlice(start, count, container, unsendable):
            return lines.pieces(["items", start, count, list(unsendable.items())], container)
        case ItemCount(total):
            return lines.pieces(["count", total])
    raise AssertionError(note)


def _decode(head: Any, data: bytes) -> Record | None:
    match head:
        case ["sent", tasks]:
            return Sent(tuple(tasks))
        case ["reply", tasks, error, request_id, report]:
            return Executed(
                tuple(tasks), Reply(data, error, "", request_id, InvocationReport(*report) if report else None)
            )
        case ["lost", tasks, message]:
            return Executed(tuple(tasks), Ambiguous(message))
        case ["item", index]:
            return SingleItem(index, data)
        case ["items", start, count, unsendable]:
            return ItemSlice(start, count, data, dict(unsendable))
        case ["count", total]:
            return ItemCount(total)
    return None


def read(path: Path, start: int = 0) -> Excerpt:
    """Return a journal's records from an offset on; none if there is no journal."""
    try:
        found = lines.decode(private.read(path, start))
    except FileNotFoundError:
        return Excerpt([], 0, start)
    # A kind of record that this version does not know counts as damaged.
    records = [_decode(*body) for body in found.bodies]
    return Excerpt([each for each in records if each], found.damaged + records.count(None), start + found.size)


def slices(items: Sequence[Any] | None) -> Iterator[ItemSlice]:
    """Pickle a sequence in pieces of about `SLICE` bytes."""
    start, count = 0, 1
    while items is not None and start < len(items):
        piece = _pack(start, list(items[start : start + count]))
        yield piece
        start += count
        # From the size of this slice; at most 16 times as many, since the next items may be larger.
        count = max(1, min(count * 16, int(count * SLICE / len(piece.container))))


def _pack(start: int, items: list[Any]) -> ItemSlice:
    try:
        return ItemSlice(start, len(items), packing.dumps(items), {})
    except BaseException:  # items have methods of the user's own
        unsendable = {index: problem for index, item in enumerate(items) if (problem := _problem(item))}
        rest = [None if index in unsendable else item for index, item in enumerate(items)]
        return ItemSlice(start, len(items), packing.dumps(rest), unsendable)


def _problem(item: Any) -> str:
    try:
        packing.dumps(item)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return ""
