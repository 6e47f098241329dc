"""How many tasks go into one invocation."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial

TARGET_SECONDS = 0.5
"""Work per invocation for tiny tasks: the overhead of some 10 ms per invocation stays at a few percent."""
RATE = 500
"""Invocations per second that one client sends comfortably: more workers get longer chunks."""
LATE_RATE = 4000
"""Invocations per second that one client can send toward the end, to ten thousand workers: with shorter chunks, most of
them would wait for the client."""
MIN_SECONDS = 0.05
"""Work that is never split further to occupy more workers: the extra invocation would cost more time than it saves."""
FIRST_SECONDS = 0.2
"""What a sandbox's first task may take, because of its imports, beyond what the others take."""
SHARE = 1.5
"""The next chunk is 1 / SHARE of the work left for each worker. A smaller part would make more invocations in the last
seconds than one client can send; a larger one would leave workers waiting for a chunk that turns out long."""
GROWTH = 8
"""A chunk has at most this many times the tasks measured so far: a few quick ones prove little about the rest."""
MAX_TASKS = 10_000
TRANSIT_TASKS, LEAST_TASKS = 50_000, 100
"""Tiny tasks in all invocations in flight: what one client handles in half a second. With many workers, each gets at
least the second number, beside which the cost of an invocation is small."""
REPLY_TARGET = 3_000_000
"""Bytes of results per invocation: about half of Lambda's limit."""
TRANSIT_BYTES, LEAST_BYTES = 64_000_000, 1_000_000
"""The same for bytes of items, and for bytes of results; the second number takes as long to move as an invocation."""
_WEIGHT = 0.3
"""Weight of the latest invocation in the moving averages."""


@dataclass(frozen=True, slots=True)
class Transit:
    """What is in transit when an invocation is sent."""

    tasks: int = 0
    """Tasks in flight."""
    slots: int = 1
    """Invocations that can still be sent: they share what may be in transit besides."""

    def share(self, most: int, each: float, least: int) -> float:
        """Return the share of one invocation if `most` may be in transit, tasks in flight have `each`, or `least`."""
        return max((most - self.tasks * each) / self.slots, least)


class ChunkSize:
    """Chooses chunk sizes from measured durations.

    It starts with single tasks, so that the first results arrive soon, then groups tasks up to `TARGET_SECONDS` of
    work, and shrinks chunks toward the end, so that the remaining work is spread over all workers.

    Parameters
    ----------
    fixed
        The size requested by the user; None adapts it.
    room
        Bytes of a request available for tasks.
    processes
        Tasks that a sandbox runs in parallel.
    """

    def __init__(self, fixed: int | None, room: int, processes: int = 1) -> None:
        self._fixed = fixed
        self.room = room
        """Set as soon as the size of a request's head is known."""
        self._processes = processes
        self._seconds: float | None = None
        self._reply_bytes = 0.0
        self._measured = 0
        self._sandboxes = 0
        """Sandboxes that have replied."""
        self._rough = True
        """Whether only first tasks of sandboxes were measured."""

    def observe(self, tasks: int, seconds: float, reply_bytes: int, *, first: bool = False) -> None:
        """Record an invocation with `tasks` tasks of `seconds` in total; `first`: the first of its sandbox."""
        if tasks < 1:
            return
        # Tasks of a chunk run in parallel: what counts is how long they occupy the sandbox.
        seconds /= min(self._processes, tasks)
        if self._seconds is None:
            self._seconds, self._reply_bytes = seconds / tasks, reply_bytes / tasks
        # A sandbox's first task also imports packages. Its duration serves until another task was measured, which
        # replaces it; after that, first tasks are ignored.
        if self._rough and not first:
            self._seconds = seconds / tasks
        elif self._rough or not first:
            self._seconds += _WEIGHT * (seconds / tasks - self._seconds)
        self._rough = self._rough and first
        self._reply_bytes += _WEIGHT * (reply_bytes / tasks - self._reply_bytes)
        self._measured += tasks
        self._sandboxes += first

    def restart(self) -> None:
        """Grow from a single task again: tasks after a pause may take longer than those measured."""
        self._measured = 0

    @property
    def tiny(self) -> bool:
        """Whether tasks are, or may be, too short to be worth a sandbox each."""
        enough = FIRST_SECONDS if self._rough else MIN_SECONDS
        return self._fixed is None and (self._seconds is None or self._seconds < enough)

    def size(self, remaining: int | None, workers: int, transit: Transit | None = None) -> int:
        """Return the best chunk size for the next invocation.

        Parameters
        ----------
        remaining
            Tasks not yet sent; None if unknown.
        workers
            Invocations that can run concurrently.
        transit
            What is in transit now; None: nothing yet.
        """
        if self._fixed is not None:
            return self._fixed
        if self._seconds is None:
            # Nothing was measured yet: one task for each process.
            return self._processes
        # Clocks may measure 0 for the tiniest tasks.
        seconds = max(self._seconds, 1e-9)
        size = max(TARGET_SECONDS, workers / RATE) / seconds
        if remaining is not None:
            size = min(size, _part(remaining, workers, seconds))
            if 0 < self._sandboxes < workers:
                # Fewer sandboxes may run than are allowed; then the last chunks are theirs alone to share.
                size = min(size, _part(remaining, self._sandboxes, seconds))
        transit = transit or Transit(slots=workers)
        most = min(MAX_TASKS, transit.share(TRANSIT_TASKS, 1, LEAST_TASKS))
        most_bytes = min(REPLY_TARGET, transit.share(TRANSIT_BYTES, self._reply_bytes, LEAST_BYTES))
        size = min(size, most_bytes / max(self._reply_bytes, 1.0), self._measured * GROWTH, most)
        return max(self._processes, int(size))

    def fit(self, sizes: Sequence[int], transit: Transit = Transit()) -> int:
        """Return how many of the tasks, given their encoded sizes, go into one request together; at least one."""
        room: float = self.room
        if self._fixed is None and sizes:
            room = min(room, transit.share(TRANSIT_BYTES, sum(sizes) / len(sizes), LEAST_BYTES))
        # Tasks are joined by commas: one fewer than there are tasks.
        total = -1
        for position, size in enumerate(sizes):
            total += size + 1
            # A task that does not fit even alone was sent to S3 when it was encoded.
            if total > room and position:
                return position
        return len(sizes)


def _part(remaining: int, workers: int, seconds: float) -> float:
    """Return how many of the remaining tasks one worker gets: 1 / SHARE of its share, but no chunk too short."""
    share = remaining / workers
    # Rounded up, but never more than one worker's share: the rest would leave the others idle.
    return max(min(math.ceil(share / SHARE), share), max(MIN_SECONDS, workers / LATE_RATE) / seconds)


class ChunkSizes:
    """A job's chunk sizes, separate for each kind of task: the duration of one says nothing about another.

    Parameters
    ----------
    fixed, room, processes
        As for `ChunkSize`.
    """

    def __init__(self, fixed: int | None, room: int, processes: int = 1) -> None:
        self._new = partial(ChunkSize, fixed, processes=processes)
        self._kinds: dict[Hashable, ChunkSize] = {}
        self._latest: Hashable = None
        self.room = room
        """Set as soon as the size of a request's head is known."""

    @property
    def latest(self) -> ChunkSize:
        """The chunk sizes of the kind last requested."""
        return self.of(self._latest)

    def of(self, kind: Hashable) -> ChunkSize:
        """Return the chunk sizes of a kind."""
        self._latest = kind
        if kind not in self._kinds:
            self._kinds[kind] = self._new(self.room)
        chunks = self._kinds[kind]
        chunks.room = self.room
        return chunks

    def restart(self) -> None:
        """Note a pause: the tasks after it may take longer."""
        for chunks in self._kinds.values():
            chunks.restart()
