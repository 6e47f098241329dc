"""A job's attempts as arrays, and all computations on them that precede drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lithops_magic.engine.result.task_costs import task_costs

if TYPE_CHECKING:
    from lithops_magic.engine.job.ledger import Table, TaskStats
    from lithops_magic.engine.job.snapshot import Snapshot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Columns:
    """Attempts in the order they began. Times are seconds since the start of the job."""

    sent: Floats
    started: Floats
    ended: Floats
    duration: Floats
    cost: Floats
    """USD."""
    index: Ints
    lane: Ints
    """The sandbox, numbered by when each sandbox was first used."""
    cold: Bools
    failed: Bools
    lost: Bools
    """Whether the attempt was lost, so that the task was, or would have been, retried."""
    lanes: int
    """Number of sandboxes."""
    prepared: float
    """When the first task could be sent."""

    @classmethod
    def of(cls, table: Table, lost: Sequence[TaskStats], snapshot: Snapshot) -> Columns:
        """Extract what is drawn from the tasks that have run and from the attempts lost before."""
        ran = ~np.isnan(np.array(table["ended_s"], float))

        def column(name: str, kind: type) -> NDArray[Any]:
            return np.concatenate([np.array(table[name])[ran], [getattr(one, name) for one in lost]]).astype(kind)

        state = np.array(table["state"])[ran]
        gone = np.ones(len(lost), bool)
        order = np.argsort(column("started_s", float), kind="stable")
        times = {name: column(f"{name}_s", float)[order] for name in ("sent", "started", "ended", "duration")}
        sandboxes = [*compress(table["sandbox"], ran), *(one.sandbox for one in lost)]
        lanes: dict[str, int] = {}
        # A retried job was prepared twice: the first preparation counts.
        prepared = 0.0 if snapshot.running_at is None else snapshot.running_at - snapshot.started_at
        return cls(
            **times,
            cost=np.append(task_costs(table, snapshot)[ran], np.zeros(len(lost)))[order],
            index=column("index", int)[order],
            lane=np.array([lanes.setdefault(sandboxes[one], len(lanes)) for one in order.tolist()], np.int64),
            cold=column("cold", bool)[order],
            failed=np.append(state == "failed", ~gone)[order],
            lost=np.append((state != "failed") & (state != "done"), gone)[order],
            lanes=len(lanes),
            prepared=min(prepared, times["sent"].min(initial=np.inf)),
        )

    def last(self) -> Columns:
        """Return only the last attempt of each task."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: each[~self.lost] for name, each in columns.items() if np.ndim(each)})

    def __len__(self) -> int:
        return len(self.index)

    @property
    def done(self) -> Bools:
        """Whether each task has a value."""
        return ~self.failed & ~self.lost

    @property
    def end(self) -> float:
        """When the last attempt ended."""
        return float(self.ended.max())

    @property
    def begin(self) -> float:
        """Start of the time axis: not the start of the job if preparation would dwarf everything else."""
        return self.prepared if self.prepared > 0.3 * self.end else 0.0

    def waits(self) -> tuple[Floats, Bools]:
        """Return since when each task's sandbox was getting ready for it, and whether that was a cold start.

        This is when the task was sent, or when the previous task in the same sandbox ended if that was later.
        """
        order = np.lexsort((self.started, self.lane))
        before = np.full(len(self), -np.inf)
        follows = self.lane[order][1:] == self.lane[order][:-1]
        before[order[1:][follows]] = self.ended[order[:-1][follows]]
        begin = np.minimum(np.maximum(self.sent, before), self.started)
        return begin, self.cold & (self.sent >= before)


def concurrency(begin: Floats, end: Floats, at: Floats) -> Ints:
    """Return how many of the intervals [begin, end) contain each of the instants `at`."""
    begun = np.searchsorted(np.sort(begin), at, side="right")
    return np.asarray(begun - np.searchsorted(np.sort(end), at, side="right"), np.int64)


def occupancy(begin: Floats, end: Floats, band: Ints, bands: int, edges: Floats) -> Floats:
    """Return for each band of intervals their total duration between each pair of `edges`."""
    covered = np.zeros((bands, len(edges) - 1))
    order = np.argsort(band, kind="stable")
    limits = np.searchsorted(band[order], np.arange(bands + 1))
    for number in range(bands):
        mine = order[limits[number] : limits[number + 1]]
        covered[number] = np.diff(_passed(begin[mine], edges) - _passed(end[mine], edges))
    return covered


def _passed(since: Floats, at: Floats) -> Floats:
    """Return, for each of the instants `at`, the total time passed since the earlier ones of `since`."""
    ordered = np.sort(since)
    before = np.searchsorted(ordered, at)
    return np.asarray(before * at - np.append(0.0, np.cumsum(ordered))[before], float)


def grouped_means(values: Floats, most: int) -> tuple[Floats, int]:
    """Return the means of consecutive groups of `values`, at most `most` of them, and the size of a group."""
    size = -(-len(values) // most)
    starts = np.arange(0, len(values), size)
    counts = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(values, starts) / counts, size
