"""A job's values as a sequence, during and after the job; `map_result` adds what is for display."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, overload

from lithops_magic import user_code
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.ledger import State, TaskStats
from lithops_magic.engine.job.snapshot import Snapshot
from lithops_magic.engine.job.task import R, TaskFuture
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.result import misuse, script
from lithops_magic.engine.result.portable import portable
from lithops_magic.engine.result.stats import Stats
from lithops_magic.engine.result.waiting import TICK, Waiting
from lithops_magic.engine.text import tracebacks
from lithops_magic.engine.text.short_repr import short_repr
from lithops_magic.errors import TaskCrashed, TaskError, TaskOutOfMemory, facts
from lithops_magic.worker.values import Values


class JobValues(Waiting, Sequence[R]):
    """The values of a job in the order of its items, complete or not."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._called = ""
        """A Python expression for the result, for when no variable holds it."""

    def __len__(self) -> int:
        total = self._job.snapshot().total
        return len(self._job.ledger) if total is None else total

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> list[R]: ...
    def __getitem__(self, index: int | slice) -> R | list[R]:
        __tracebackhide__ = True
        if isinstance(index, slice):
            return [self._value(i) for i in range(*index.indices(len(self)))]
        return self._value(misuse.position(index, len(self)))

    def _value(self, position: int) -> R:
        __tracebackhide__ = True
        if unfinished := self._job.why_unfinished(position):
            raise unfinished
        ledger = self._job.ledger
        if position in ledger.errors:
            error = ledger.errors[position]
            # Only now, because it names the variable that holds the result, which may change with every cell.
            facts(error).debug = self._debugged(position)
            raise tracebacks.at_its_line(error)
        value: R = ledger.values[position]
        return value

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        """Pickle as plain values, because a task, file or copy has no access to the job."""
        return Values, portable(self._job)

    if not TYPE_CHECKING:  # type checkers must see only the attributes below

        def __getattr__(self, name: str) -> Any:
            __tracebackhide__ = True
            raise misuse.no_attribute(name)

    def __iter__(self) -> Iterator[R]:
        # The inherited iterator would mistake a task's IndexError for the end.
        return map(self._value, range(len(self)))

    def values(self) -> list[R]:
        """The values of all tasks, one for each item and in their order.

        Raises
        ------
        TaskError
            A task failed; `succeeded()` has the values of the others.
        TaskPending or JobCancelled
            A task has no value yet, or will never have one.
        """
        __tracebackhide__ = True
        return list(self)

    def succeeded(self) -> dict[int, R]:
        """The values of the tasks that succeeded so far, by index, in the order of the items."""
        ledger = self._job.ledger
        return {index: ledger.values[index] for index in ledger.indices("done")}

    @property
    def errors(self) -> dict[int, TaskError]:
        """The errors of the tasks that failed, by index."""
        return self._job.failed

    @property
    def error(self) -> BaseException | None:
        """What ended the job as a whole, such as a refused invocation or an iterator that raised."""
        return self._job.error

    def result(self, timeout: float | None = None) -> list[R]:
        """Wait for the end and return all values, as `concurrent.futures.Future.result` does.

        Parameters
        ----------
        timeout
            Maximum seconds to wait; None waits for the end.

        Raises
        ------
        TimeoutError
            The job is not over; it continues.
        TaskError
            A task failed.
        """
        __tracebackhide__ = True
        self._wait_for_end(timeout)
        self.raise_errors()
        return self.values()

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Wait for the end and return what `result` would raise; None if every task succeeded.

        Raises
        ------
        TimeoutError
            The job is not over; it continues.
        """
        __tracebackhide__ = True
        self._wait_for_end(timeout)
        try:
            self.result()
        except Exception as error:
            return error
        return None

    def finish(self) -> Self:
        """Wait for the end and raise as the job's option `errors` says; an interrupt stops it unless it is detached."""
        __tracebackhide__ = True
        try:
            self.wait()
            self._job.await_callbacks()
        except BaseException as error:
            self._job.interrupt()
            if isinstance(error, KeyboardInterrupt):
                script.interrupted(error, self._job)
            raise
        if self._job.options.errors == "raise" or self.error is not None:
            self.raise_errors()
        return self

    def raise_errors(self) -> None:
        """Raise what ended the job, or the first task's error with a summary of all of them; else do nothing."""
        __tracebackhide__ = True
        if self._job.error is not None:
            raise self._job.error
        if errors := self.errors:
            error = tracebacks.summarize(errors, len(self), self._debugged(min(errors)))
            facts(error).result = self
            raise tracebacks.at_its_line(error)

    def snapshot(self) -> Snapshot:
        """The job now, in numbers."""
        return self._job.snapshot()

    @property
    def job_id(self) -> str:
        """Names the job for `lithops_magic.attach`."""
        return self._job.id

    @property
    def options(self) -> MapOptions:
        """How the job is run."""
        return self._job.options

    @property
    def _label(self) -> str:
        """The user's name for the job."""
        return self._job.options.label

    @property
    def stats(self) -> Sequence[TaskStats]:
        """One record per task that was taken from the items so far."""
        return Stats(self._job)

    def _indices(self, state: State) -> list[int]:
        """The tasks in a state, in item order."""
        return self._job.ledger.indices(state)

    @property
    def _durations(self) -> list[float]:
        """Duration in seconds of each task that has ended."""
        return self._job.ledger.durations()

    @property
    def _printed(self) -> list[int]:
        """The tasks that printed something."""
        return sorted(self._job.logs())

    def item(self, index: int) -> Any:
        """The item of a task.

        Raises
        ------
        LookupError
            The items came from an iterator, and this one was not stored.
        """
        __tracebackhide__ = True
        return self._job.item(misuse.position(index, len(self)))

    @property
    def _can_retry(self) -> bool:
        return self._job.start_rerun is not None

    def _debugged(self, index: int) -> str:
        """How to run a task locally; empty if that is impossible or would end this process as it ended its sandbox."""
        fatal = isinstance(self.errors.get(index), TaskCrashed | TaskOutOfMemory)
        return (
            "" if fatal or self._job.function is None else f"{user_code.variable(self) or self._called}.debug({index})"
        )

    def _item_repr(self, index: int) -> str:
        """A short repr of a task's item; empty if the item was not stored."""
        try:
            return short_repr(self._job.raw_item(index))
        except LookupError:
            return ""

    @property
    def cost(self) -> float:
        """USD at list price so far, requests included."""
        return self.snapshot().spent

    @property
    def futures(self) -> list[TaskFuture[R]]:
        """One `concurrent.futures.Future` per task."""
        return [self._job.future(i) for i in range(len(self))]

    def as_completed(self) -> Iterator[TaskFuture[R]]:
        """Yield the future of each task as it ends, until the job is over."""
        seen = 0
        while True:
            with self._job.changed:
                # In short waits, since an interrupt is handled only between them.
                while seen == len(self._job.ledger.order) and not self._job.over:
                    self._job.changed.wait(TICK)
                fresh = list(self._job.ledger.order[seen:])
            if not fresh:
                return
            seen += len(fresh)
            yield from map(self._job.future, fresh)
