"""A packed function: whole, as in a job's journal, or with its large parts as separate objects in S3.

Objects are named by their hash, so whatever has not changed since the last run is there already, and a sandbox that
has it downloads nothing. The pickle of what a function captures precedes that of the function itself, so that
editing a line changes nothing before it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence

from lithops_magic.worker import packing
from lithops_magic.worker.packing import HERE, PARTS, PARTS_HEAD, RUN, SIZES

PIECE = 1_000_000
"""Bytes from which a part is a separate object on its own."""
SMALL_PIECE = 16_384
"""Maximum bytes of leftover parts that are sent with the rest."""

Sizes = Sequence[tuple[int, int]]


class Container:
    """A packed function.

    Parameters
    ----------
    head
        All of it, or a description of its parts.
    sizes
        Stored and original size of each part.
    cut
        Number of parts that hold pickles.
    parts
        As stored.
    """

    def __init__(self, head: bytes, sizes: Sizes = (), cut: int = 1, parts: Sequence[bytes] = ()) -> None:
        self._head = head
        self._parts = parts
        self._runs = [*_runs(parts, cut)]
        self._numbers = len(parts), cut
        self._sizes = b"".join(SIZES.pack(*pair) for pair in sizes)
        self._names: list[bytes] = []

    @classmethod
    def pack(cls, pickles: Sequence[Sequence[bytes]], views: Sequence[memoryview]) -> Container:
        """Pack pickles, each in the pieces in which it was written, and their buffers."""
        total = sum(map(len, (*(piece for pieces in pickles for piece in pieces), *views)))
        # Nothing is large enough to be an object of its own.
        if total < PIECE and len(pickles) == 1:
            return cls(packing.pack(b"".join(pickles[0]), views))
        stream = [*_stream(pickles)]
        true: list[bytes | memoryview] = [*stream, *views]
        stored = [bytes(packing.compressed(part)) for part in true]
        sizes = [(len(new), len(old)) for new, old in zip(stored, true, strict=True)]
        return cls._of(sizes, len(stream), stored)

    @classmethod
    def parse(cls, whole: bytes) -> Container:
        """Parse a container as written; a damaged one yields a container with a different hash."""
        if not whole.startswith(PARTS):
            return cls(whole)
        try:
            _, count, cut, _ = PARTS_HEAD.unpack_from(whole)
            place = PARTS_HEAD.size + count * SIZES.size
            sizes = [*SIZES.iter_unpack(whole[PARTS_HEAD.size : place])]
        except struct.error:
            return cls(whole)
        parts = []
        for stored, _ in sizes:
            parts.append(whole[place : place + stored])
            place += stored
        return cls._of(sizes, cut, parts) if place == len(whole) else cls(whole)

    @classmethod
    def _of(cls, sizes: Sizes, cut: int, parts: Sequence[bytes]) -> Container:
        head = PARTS_HEAD.pack(PARTS, len(parts), cut, 0) + b"".join(SIZES.pack(*pair) for pair in sizes)
        return cls(head, sizes, cut, parts)

    def __len__(self) -> int:
        return len(self._head) + sum(map(len, self._parts))

    @property
    def chunks(self) -> list[bytes]:
        """The consecutive chunks it consists of."""
        return [self._head, *self._parts]

    @property
    def whole(self) -> bytes:
        """The entire container."""
        return b"".join(self.chunks) if self._parts else self._head

    @property
    def pieces(self) -> Iterator[tuple[str, bytes]]:
        """The parts that may be separate objects, with their names."""
        for name, run in zip(self._hashes(), self._runs, strict=True):
            if name != HERE:
                yield name.hex(), b"".join(run) if len(run) > 1 else run[0]

    @property
    def rest(self) -> bytes:
        """The container without these parts."""
        if not any(name != HERE for name in self._hashes()):
            return self.whole
        table = [RUN.pack(len(run), name) for name, run in zip(self._hashes(), self._runs, strict=True)]
        here = [part for name, run in zip(self._hashes(), self._runs, strict=True) if name == HERE for part in run]
        return b"".join([PARTS_HEAD.pack(PARTS, *self._numbers, len(table)), self._sizes, *table, *here])

    @property
    def sha256(self) -> str:
        """Hash of the entire container."""
        # `rest` holds the hashes of the other parts, so its hash covers them without reading them again.
        return hashlib.sha256(self.rest).hexdigest()

    def _hashes(self) -> list[bytes]:
        if not self._names:
            self._names = [_hash(run) if sum(map(len, run)) > SMALL_PIECE else HERE for run in self._runs]
        return self._names


def _hash(run: Iterable[bytes]) -> bytes:
    sha256 = hashlib.sha256()
    for part in run:
        sha256.update(part)
    return sha256.digest()


def _stream(pickles: Sequence[Sequence[bytes]]) -> Iterator[bytes]:
    """Yield what was written, small pieces merged, but those of large pickles and of the last not with any others."""
    runs: list[list[bytes]] = [[]]
    for pieces in pickles:
        if pieces is pickles[-1] or sum(map(len, pieces)) >= PIECE:
            runs += [[*pieces], []]
        else:
            runs[-1] += pieces
    for run in runs:
        yield from (b"".join(each) if len(each) > 1 else each[0] for each in _gathered(run))


def _runs(parts: Sequence[bytes], cut: int) -> Iterator[list[bytes]]:
    """Yield groups of parts that become one object each; pickles are grouped already."""
    yield from ([part] for part in parts[:cut])
    yield from _gathered(parts[cut:])


def _gathered(parts: Iterable[bytes]) -> Iterator[list[bytes]]:
    run: list[bytes] = []
    size = 0
    for part in parts:
        # A large part stays alone, so that small ones next to it can change without changing its name.
        if run and max(size, len(part)) >= PIECE:
            yield run
            run, size = [], 0
        run.append(part)
        size += len(part)
    if run:
        yield run
