"""What a user holds: a sequence of the tasks' values that also knows their errors, logs, durations and cost."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, overload

from lithops_magic.engine import tracebacks
from lithops_magic.engine.job import Job, TaskFuture
from lithops_magic.engine.ledger import TaskStats
from lithops_magic.engine.reduce import Reduction
from lithops_magic.engine.snapshot import Snapshot
from lithops_magic.errors import TaskError

# A signal is only handled between waits: an interrupt must be noticed within a tenth of a second.
_TICK = 0.1


class MapResult(Sequence[Any]):
    """The values of a job in the order of its items, complete or not.

    Indexing gives a task's value, raises its error if it failed, and raises `TaskPending` or `JobCancelled` if it has
    neither. The object is the same before, during and after the job, on success, failure and interrupt.
    """

    def __init__(self, job: Job, reduction: Reduction | None = None) -> None:
        self._job = job
        self.reduction = reduction
        """What becomes of all values at the end, if that was asked for."""

    def __len__(self) -> int:
        total = self._job.snapshot().total
        return len(self._job.ledger) if total is None else total

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        if missing := self._job.missing(position):
            raise missing
        ledger = self._job.ledger
        if position in ledger.errors:
            raise ledger.errors[position]
        return ledger.values[position]

    def __iter__(self) -> Iterator[Any]:
        # The inherited one would take a task's IndexError for the end.
        return (self[i] for i in range(len(self)))

    def __await__(self) -> Generator[Any, None, MapResult]:
        import asyncio

        yield from asyncio.to_thread(self.wait).__await__()
        return self

    def values(self) -> list[Any]:
        """The values of the tasks that succeeded so far, in the order of the items."""
        ledger = self._job.ledger
        return [ledger.values[index] for index in ledger.indices("done")]

    @property
    def errors(self) -> dict[int, TaskError]:
        """The errors of the tasks that failed, by index."""
        return self._job.failed

    @property
    def reduced(self) -> Any:
        """What the job's `reduce` function made of all values; waits for it.

        Raises
        ------
        JobCancelled
            It was not called, because not every task succeeded.
        TaskError
            It failed.
        """
        if self.reduction is None:
            raise AttributeError("this job has nothing to reduce with: ask for it with reduce=FUNCTION (--reduce NAME)")
        return self.reduction.value()

    @property
    def error(self) -> Exception | None:
        """What ended the job as a whole, such as a refused invocation or an iterator that raised."""
        return self._job.error

    @property
    def done(self) -> bool:
        """Whether the job is over: finished, cancelled or broken."""
        return self._job.over

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job is over; return whether it is.

        Parameters
        ----------
        timeout
            Seconds to wait at most; None waits for the end.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._job.changed:
            while not self._job.over:
                left = _TICK if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    break
                self._job.changed.wait(min(left, _TICK))
        return self.done

    def cancel(self) -> None:
        """Send nothing more and return at once; results of what is in flight are still kept when they arrive."""
        self._job.cancel()
        if self.reduction is not None:
            self.reduction.cancel()

    def raise_errors(self) -> None:
        """Raise what ended the job, or the first task's error with a summary of all of them; else do nothing."""
        if self._job.error is not None:
            raise self._job.error
        if errors := self.errors:
            error = tracebacks.summarise(errors, len(self))
            error.result = self
            raise error

    def logs(self, index: int) -> str:
        """What a task printed; long output is cut in the middle, which it says."""
        return self._job.ledger.logs.get(range(len(self))[index], "")

    @property
    def stats(self) -> list[TaskStats]:
        """One record per task that was taken from the items so far."""
        return [self._job.stats(index) for index in range(len(self._job.ledger))]

    @property
    def cost(self) -> float:
        """USD at list price so far, requests included."""
        snapshot = self.snapshot()
        reduction = 0.0 if self.reduction is None else self.reduction.cost
        return snapshot.cost + snapshot.request_cost + reduction

    @property
    def futures(self) -> list[TaskFuture]:
        """One `concurrent.futures.Future` per task."""
        return [self._job.future(i) for i in range(len(self))]

    def as_completed(self) -> Iterator[TaskFuture]:
        """Yield the future of each task as it ends, until the job is over."""
        seen = 0
        while True:
            with self._job.changed:
                while seen == len(self._job.order) and not self._job.over:
                    self._job.changed.wait(_TICK)
                fresh = list(self._job.order[seen:])
            if not fresh:
                return
            seen += len(fresh)
            yield from map(self._job.future, fresh)

    def snapshot(self) -> Snapshot:
        """The job now, in numbers."""
        return self._job.snapshot()

    @property
    def label(self) -> str:
        """What the user calls the job."""
        return self._job.options.label

    def summary(self) -> str:
        """The job in a few lines: tasks, time, speed-up, cost and grouped errors."""
        return repr(self)

    def __repr__(self) -> str:
        from lithops_magic.engine import view

        return view.to_text(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from lithops_magic.engine import view

        return {"text/plain": view.to_text(self), "text/html": view.to_html(self)}
