"""The one place where a job's state lives: written by its scheduler, read by everybody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from lithops_magic.engine import events as ev
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.snapshot import Snapshot, reduce
from lithops_magic.errors import JobCancelled, LithopsMagicError, TaskError, TaskPending


@dataclass(slots=True, kw_only=True)
class TaskStats:
    """What became of one task and what it cost."""

    index: int
    state: Literal["queued", "running", "done", "failed"] = "queued"
    duration_s: float = 0.0
    """Seconds of the last attempt, measured in the sandbox."""
    billed_ms: float = 0.0
    """Its share, by duration, of what its invocations were billed."""
    cold: bool = False
    """Whether a sandbox was started for it."""
    sandbox: str = ""
    attempts: int = 0
    """How often it was sent, not counting when it did not get to run by itself."""
    max_memory_mb: int = 0
    """The most memory its last invocation used."""


class Task:
    """One item on its way; the item and its pickle are dropped once the task has ended."""

    __slots__ = ("alone", "error", "fragment", "index", "item", "log", "lost", "stats", "value")

    def __init__(self, index: int, item: Any) -> None:
        self.index = index
        self.item = item
        self.fragment = b""
        """The task as it stands in the request."""
        self.value: Any = None
        self.error: TaskError | None = None
        self.log = ""
        self.alone = False
        """Whether it must have an invocation to itself, because one it shared was lost as a whole."""
        self.lost = 0
        """Attempts charged to it."""
        self.stats = TaskStats(index=index)


class TaskFuture(Future[Any]):
    """A task's value, error or `JobCancelled`; `index` is the task's position in the input."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index
        # A single task cannot be taken back once the job has it: cancel() must answer False.
        self.set_running_or_notify_cancel()


class Job:
    """A job's tasks, events and end.

    Parameters
    ----------
    options
        How it is run.
    name_code
        What the user calls a code file, such as ``Cell In[6]``.
    total
        Number of items, if it is known from the start.
    """

    def __init__(self, options: MapOptions, name_code: Callable[[str], str], total: int | None = None) -> None:
        self.options = options
        self.name_code = name_code
        self.tasks: list[Task] = []
        self.order: list[int] = []
        """Indices in the order in which the tasks ended."""
        self.failed: dict[int, TaskError] = {}
        self.error: Exception | None = None
        """What broke the job as a whole."""
        self.changed = threading.Condition()
        self.on_cancel: Callable[[], None] = lambda: None
        self._snapshot = Snapshot(started_at=time.monotonic(), total=total)
        self._futures: dict[int, TaskFuture] = {}

    @property
    def over(self) -> bool:
        """Whether nothing more will be sent."""
        return self._snapshot.finished

    @property
    def queued(self) -> int | None:
        """Tasks that wait to be sent; None while the total is unknown."""
        return self._snapshot.queued

    def snapshot(self) -> Snapshot:
        """The job now."""
        with self.changed:
            return self._snapshot.at(time.monotonic())

    def publish(self, event: ev.Event) -> None:
        """Record `event` and wake who waits."""
        with self.changed:
            self._snapshot = reduce(self._snapshot, event)
            self.changed.notify_all()

    def add(self, item: Any) -> Task | None:
        """Make the next item a task; None if the job was stopped."""
        with self.changed:
            if self.over:
                return None
            task = Task(len(self.tasks), item)
            self.tasks.append(task)
            return task

    def submit(self, tasks: Iterable[Task]) -> bool:
        """Record that `tasks` are about to be sent; False if the job was stopped and they must not be."""
        with self.changed:
            if self.over:
                return False
            batch = list(tasks)
            for task in batch:
                task.stats.state = "running"
                task.stats.attempts += 1
            self.publish(ev.Submitted(len(batch)))
            return True

    def take_back(self, tasks: Iterable[Task], event: ev.Event) -> None:
        """Record that `tasks` are not in flight any more and have no outcome."""
        with self.changed:
            for task in tasks:
                task.stats.state = "queued"
                task.stats.attempts -= not isinstance(event, ev.Retried)
            self.publish(event)

    def finish(self, task: Task, value: Any, log: str) -> None:
        """Record a task's value."""
        task.value, task.log = value, log
        self._settle(task, "done", ev.Finished())

    def fail(self, task: Task, error: TaskError, *, sent: bool = True) -> None:
        """Record that a task failed for good."""
        task.error, task.log = error, error.log
        with self.changed:
            self.failed[task.index] = error
        self._settle(task, "failed", ev.Failed(sent))

    def end(self) -> None:
        """Record that every task has ended and none will follow."""
        self._stop(ev.Broken if self.error else ev.Ended)

    def break_off(self, error: Exception) -> None:
        """Stop the job because of `error`; what is in flight is still recorded when it arrives."""
        with self.changed:
            if self.over:
                return
            self.error = error
        self._stop(ev.Broken)

    def cancel(self) -> None:
        """Send nothing more; what is in flight is still recorded when it arrives."""
        self._stop(ev.Cancelled)
        self.on_cancel()

    def future(self, index: int) -> TaskFuture:
        """The future of one task."""
        with self.changed:
            future = self._futures.get(index)
            if future is None:
                future = self._futures[index] = TaskFuture(index)
        self._resolve(future)
        return future

    def missing(self, index: int) -> LithopsMagicError | None:
        """Why a task has neither value nor error, or None if it has one."""
        with self.changed:
            state = self.tasks[index].stats.state if index < len(self.tasks) else "queued"
            if state in ("done", "failed"):
                return None
            if state == "running" or not self.over:
                return TaskPending(f"Task {index} has not finished yet: it is {state}. Use wait().")
            reason = f"ended with {type(self.error).__name__}: {self.error}" if self.error else "was stopped"
            return JobCancelled(f"Task {index} was not run: the job {reason}")

    def _stop(self, event: type[ev.Ended | ev.Cancelled | ev.Broken]) -> None:
        with self.changed:
            if self.over:
                return
            if self._snapshot.total is None:
                self.publish(ev.Counted(len(self.tasks)))
            self.publish(event(time.monotonic()))
            futures = list(self._futures.values())
        for future in futures:
            self._resolve(future)

    def _settle(self, task: Task, state: Literal["done", "failed"], event: ev.Event) -> None:
        task.item, task.fragment = None, b""
        with self.changed:
            task.stats.state = state
            self.order.append(task.index)
            self.publish(event)
            future = self._futures.get(task.index)
        if future is not None:
            self._resolve(future)

    def _resolve(self, future: TaskFuture) -> None:
        """Give a future what its task has; outside the lock, because it runs the user's callbacks."""
        missing = self.missing(future.index)
        if future.done() or isinstance(missing, TaskPending):
            return
        task = None if missing else self.tasks[future.index]
        if error := missing or (task and task.error):
            future.set_exception(error)
        elif task:
            future.set_result(task.value)
