"""How many tasks go into one invocation."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from functools import partial

TARGET_SECONDS = 0.5
"""Work per invocation for tiny tasks: the overhead of an invocation, some 10 ms, stays at a few percent of it."""
RATE = 500
"""Invocations per second that one client sends without haste: more workers get longer chunks."""
RUSH = 4000
"""Invocations per second that one client sends toward the end, to ten thousand workers: chunks that are shorter would
have most of them wait for it."""
LEAST_SECONDS = 0.05
"""Work that is never split further to occupy more workers: the invocation would cost more time than it saves."""
FIRST_SECONDS = 0.2
"""What the first task of a sandbox may take because it imports, beside what the others take."""
SHARE = 1.5
"""Part of what is left for each worker that the next chunk has: 1 / SHARE. Less would make more invocations in the last
seconds than one client sends, more would have workers wait for the one whose chunk proves to be long."""
GROWTH = 8
"""A chunk has at most this many times the tasks measured so far: a few quick ones must not put all in one basket."""
LARGEST = 10_000
REPLY_TARGET = 3_000_000
"""Bytes of results per invocation, about half of what AWS allows."""
_WEIGHT = 0.3


class Chunks:
    """Chooses chunk sizes from measured durations.

    It starts with single tasks, so that the first results come soon, then groups tasks up to `TARGET_SECONDS` of work,
    and shrinks toward the end, so that what remains is spread over all workers.

    Parameters
    ----------
    fixed
        The size the user asked for; None adapts it.
    room
        Bytes of a request that tasks may fill.
    processes
        Tasks that a sandbox runs at the same time.
    """

    def __init__(self, fixed: int | None, room: int, processes: int = 1) -> None:
        self._fixed = fixed
        self.room = room
        """May be set once the size of a request's head is known."""
        self._processes = processes
        self._seconds: float | None = None
        self._reply_bytes = 0.0
        self._measured = 0
        self._rough = True
        """Whether all that is known is how long first tasks take."""

    def observe(self, tasks: int, seconds: float, reply_bytes: int, *, first: bool = False) -> None:
        """Record an invocation that ran `tasks` tasks, of `seconds` together; `first`: of those in its sandbox."""
        if tasks < 1:
            return
        seconds /= min(self._processes, tasks)
        if self._seconds is None:
            self._seconds, self._reply_bytes = seconds / tasks, reply_bytes / tasks
        if self._rough and not first:
            self._seconds = seconds / tasks
        elif self._rough or not first:
            self._seconds += _WEIGHT * (seconds / tasks - self._seconds)
        self._rough = self._rough and first
        self._reply_bytes += _WEIGHT * (reply_bytes / tasks - self._reply_bytes)
        self._measured += tasks

    def begin_anew(self) -> None:
        """Grow from a single task once more: what comes after a pause may take longer than what was measured before."""
        self._measured = 0

    @property
    def tiny(self) -> bool:
        """Whether tasks are too short to be worth a sandbox each, or may be, as far as is known."""
        enough = FIRST_SECONDS if self._rough else LEAST_SECONDS
        return self._fixed is None and (self._seconds is None or self._seconds < enough)

    def size(self, remaining: int | None, workers: int) -> int:
        """Return the best number of tasks for the next invocation.

        Parameters
        ----------
        remaining
            Tasks that were not sent yet; None if unknown.
        workers
            Invocations that can run at once.
        """
        if self._fixed is not None:
            return self._fixed
        if self._seconds is None:
            return self._processes
        seconds = max(self._seconds, 1e-9)
        size = max(TARGET_SECONDS, workers / RATE) / seconds
        if remaining is not None:
            least = max(LEAST_SECONDS, workers / RUSH) / seconds
            share = remaining / workers
            size = min(size, max(min(math.ceil(share / SHARE), share), least))
        size = min(size, REPLY_TARGET / max(self._reply_bytes, 1.0), self._measured * GROWTH, LARGEST)
        return max(self._processes, int(size))

    def fit(self, sizes: Sequence[int]) -> int:
        """Return how many of the tasks, of the given encoded sizes, fit in one request together; at least one."""
        total = -1
        for position, size in enumerate(sizes):
            total += size + 1
            if total > self.room and position:
                return position
        return len(sizes)


class Paces:
    """A job's chunk sizes: of each kind of task its own, because what one takes says nothing of another.

    Parameters
    ----------
    fixed, room, processes
        As of `Chunks`.
    """

    def __init__(self, fixed: int | None, room: int, processes: int = 1) -> None:
        self._new = partial(Chunks, fixed, processes=processes)
        self._kinds: dict[Hashable, Chunks] = {}
        self._latest: Hashable = None
        self.room = room
        """May be set once the size of a request's head is known."""

    @property
    def latest(self) -> Chunks:
        """Those of the kind that was asked for last."""
        return self.of(self._latest)

    def of(self, kind: Hashable) -> Chunks:
        """Return those of a kind."""
        self._latest = kind
        if kind not in self._kinds:
            self._kinds[kind] = self._new(self.room)
        chunks = self._kinds[kind]
        chunks.room = self.room
        return chunks

    def begin_anew(self) -> None:
        """Note a pause: what follows may take longer."""
        for chunks in self._kinds.values():
            chunks.begin_anew()
