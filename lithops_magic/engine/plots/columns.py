"""A job's tasks as arrays, and what is computed from them before anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lithops_magic.engine.costs import task_costs

if TYPE_CHECKING:
    from lithops_magic.engine.ledger import TaskStats
    from lithops_magic.engine.snapshot import Snapshot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Columns:
    """The tasks that have run, one element each. Times are seconds since the start of the job."""

    sent: Floats
    started: Floats
    ended: Floats
    duration: Floats
    cost: Floats
    """USD."""
    index: Ints
    lane: Ints
    """The sandbox, numbered in the order in which the sandboxes began."""
    cold: Bools
    failed: Bools
    lanes: int
    """How many sandboxes there were."""
    prepared: float
    """When the first task could be sent."""

    @classmethod
    def of(cls, stats: Sequence[TaskStats], snapshot: Snapshot) -> Columns:
        """Take what is drawn from the tasks that have run, each by its last attempt."""
        costs = task_costs(stats, snapshot)
        ran = [pair for pair in zip(stats, costs, strict=True) if not math.isnan(pair[0].ended_s)]
        ran.sort(key=lambda pair: pair[0].started_s)
        lanes: dict[str, int] = {}
        tasks = [task for task, _ in ran]
        # After a retry there were two preparations: the first counts.
        prepared = 0.0 if snapshot.running_at is None else snapshot.running_at - snapshot.started_at
        prepared = min([prepared, *(task.sent_s for task in tasks)])
        return cls(
            sent=np.array([task.sent_s for task in tasks], float),
            started=np.array([task.started_s for task in tasks], float),
            ended=np.array([task.ended_s for task in tasks], float),
            duration=np.array([task.duration_s for task in tasks], float),
            cost=np.array([cost for _, cost in ran], float),
            index=np.array([task.index for task in tasks], np.int64),
            lane=np.array([lanes.setdefault(task.sandbox, len(lanes)) for task in tasks], np.int64),
            cold=np.array([task.cold for task in tasks], bool),
            failed=np.array([task.state == "failed" for task in tasks], bool),
            lanes=len(lanes),
            prepared=prepared,
        )

    def __len__(self) -> int:
        return len(self.index)

    @property
    def end(self) -> float:
        """When the last task ended."""
        return float(self.ended.max())

    @property
    def begin(self) -> float:
        """Where a time axis begins: not at the start of the job if its preparation would dwarf all the rest."""
        return self.prepared if self.prepared > 0.3 * self.end else 0.0

    def waits(self) -> tuple[Floats, Bools]:
        """Return for each task from when its sandbox was under way to it, and whether the sandbox was started for it.

        That is from its sending, or from the end of the task before it in the same sandbox if that came later.
        """
        order = np.lexsort((self.started, self.lane))
        before = np.full(len(self), -np.inf)
        follows = self.lane[order][1:] == self.lane[order][:-1]
        before[order[1:][follows]] = self.ended[order[:-1][follows]]
        begin = np.minimum(np.maximum(self.sent, before), self.started)
        return begin, self.cold & (self.sent >= before)


def concurrency(begin: Floats, end: Floats, at: Floats) -> Ints:
    """Return how many of the intervals [begin, end) hold each of the instants `at`."""
    begun = np.searchsorted(np.sort(begin), at, side="right")
    return np.asarray(begun - np.searchsorted(np.sort(end), at, side="right"), np.int64)


def occupancy(begin: Floats, end: Floats, band: Ints, bands: int, edges: Floats) -> Floats:
    """Return for each band of intervals how long they lasted between each pair of `edges`."""
    covered = np.zeros((bands, len(edges) - 1))
    order = np.argsort(band, kind="stable")
    limits = np.searchsorted(band[order], np.arange(bands + 1))
    for number in range(bands):
        mine = order[limits[number] : limits[number + 1]]
        covered[number] = np.diff(_passed(begin[mine], edges) - _passed(end[mine], edges))
    return covered


def _passed(since: Floats, at: Floats) -> Floats:
    """Return the time passed at each of the instants `at` since those of `since` that lie before it, summed."""
    ordered = np.sort(since)
    before = np.searchsorted(ordered, at)
    return np.asarray(before * at - np.append(0.0, np.cumsum(ordered))[before], float)


def grouped_means(values: Floats, most: int) -> tuple[Floats, int]:
    """Return the means of consecutive groups of `values`, at most `most` of them, and the size of a group."""
    size = -(-len(values) // most)
    starts = np.arange(0, len(values), size)
    counts = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(values, starts) / counts, size
