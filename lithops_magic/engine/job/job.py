"""The one place for a job's state: written by its scheduler, read by everything else."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.clock import CLOCK, Clock
from lithops_magic.engine.job.ledger import Ledger, Table, TaskStats
from lithops_magic.engine.job.listeners import Listeners
from lithops_magic.engine.job.snapshot import Snapshot, reduce
from lithops_magic.engine.job.task import Futures, Task, TaskFuture
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.wire.item import Prepared
from lithops_magic.errors import JobCancelled, LithopsMagicError, TaskError, TaskPending

Done = tuple[Task, Any, str, *tuple[Any, ...]]
"""A task, the value it returned, what it printed, and what the job does not use."""


class Job:
    """A job's tasks, events and end.

    Parameters
    ----------
    options
        How it runs.
    name_code
        Returns the user's name for a code file, such as ``Cell In[6]``.
    total
        Number of items, if known from the start.
    function
        The function that runs on every item.
    items
        The items, if they can be looked up later.
    clock
        Clock for everything that happens.
    """

    bursts = False
    """Whether tasks arrive in bursts that may be unrelated."""

    def __init__(
        self,
        options: MapOptions,
        name_code: Callable[[str], str],
        total: int | None = None,
        function: Callable[[Any], Any] | None = None,
        items: Sequence[Any] | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        self.time = clock
        self.id = secrets.token_hex(8)
        """Identifies the job here and in S3."""
        self.key = secrets.token_bytes(32)
        """Signs the results that tasks keep in S3; leaves this machine only in signed requests."""
        self.options = options
        self.name_code = name_code
        self.function = function
        self.ledger = Ledger()
        self.error: BaseException | None = None
        """The error that ended the job as a whole."""
        # Reentrant, as a Condition's default lock is: methods that hold it publish events.
        self.changed = threading.Condition()
        self.ended = threading.Event()
        """Set when nothing more will be sent."""
        self.on_cancel: Callable[[], None] = lambda: None
        self.serve: Callable[[float], bool] = lambda _: False
        """What a waiting thread does for some seconds in the meantime; False if there is nothing to do."""
        self.start_rerun: Callable[..., Job] | None = None
        """Called with a finished job, indices and options: starts a job that reruns these tasks."""
        self.follow: Callable[[], Iterable[tuple[str, str]]] | None = None
        """Yields each line that tasks print while they run, with its task or tasks, until the job is over."""
        self.download: Callable[[Mapping[str, Any]], bytes] | None = None
        """Downloads an object from S3."""
        self.written = False
        """Whether another process can continue it."""
        self.began = time.time()
        """Wall clock of the start, to which sandbox clocks are compared."""
        self._items = items
        self._rerun_order: Iterator[int] | None = None
        """Which tasks are added, if not simply in sequence."""
        self._snapshot = Snapshot(started_at=self.time.now(), total=total)
        self._futures = Futures(self._outcome)
        self._waiting: list[Callable[[], object]] = []
        self._listeners = Listeners(options.callbacks, self._say) if options.callbacks else None
        if self._listeners is not None and total is not None:
            self._listeners.tell(ev.Counted(total), self.snapshot())

    @property
    def sequence(self) -> Sequence[Any] | None:
        """All items, if they can be looked up later."""
        return self._items

    @property
    def whole(self) -> bool:
        """Whether it runs all of its items, as opposed to those that another job left over."""
        return self._rerun_order is None

    @property
    def over(self) -> bool:
        """Whether nothing more will be sent."""
        return self._snapshot.finished

    @property
    def queued(self) -> int | None:
        """Tasks waiting to be sent; None while the total is unknown."""
        return self._snapshot.queued

    @property
    def running(self) -> int:
        """Tasks that were sent and have no outcome yet."""
        return self._snapshot.running

    @property
    def failed(self) -> dict[int, TaskError]:
        """The errors of the tasks that failed, by index, in the order of the items."""
        with self.changed:
            return dict(sorted(self.ledger.errors.items()))

    def clock(self) -> float:
        """Seconds since the start."""
        return self.time.now() - self._snapshot.started_at

    def await_end(self, seconds: float) -> None:
        """Wait for the end, or for `seconds`; meanwhile advance the items if this thread is responsible for that."""
        __tracebackhide__ = True
        if not self.serve(seconds):
            self.ended.wait(seconds)

    def snapshot(self) -> Snapshot:
        """The current state of the job."""
        with self.changed:
            return self._snapshot.at(self.time.now())

    def stats(self, index: int) -> TaskStats:
        """The record of one task so far."""
        with self.changed:
            return self.ledger.stats(index)

    def rows(self) -> list[TaskStats]:
        """The records of all tasks so far."""
        with self.changed:
            return [self.ledger.stats(index) for index in range(len(self.ledger))]

    def attempts(self) -> tuple[Table, list[TaskStats]]:
        """The rows of all tasks, as columns, and the lost attempts that preceded them."""
        with self.changed:
            return self.ledger.table(), list(self.ledger.lost)

    def raw_item(self, index: int) -> Any:
        """Return a task's item as stored: an object, or what an earlier process prepared for sending.

        Raises
        ------
        LookupError
            It was not stored: the items came from an iterator, and the task is done.
        """
        if index in self.ledger.items:
            return self.ledger.items[index]
        if self._items is None:
            raise LookupError(f"item {index} was taken from an iterator and not kept")
        return self._items[index]

    def item(self, index: int, *, download: bool = True) -> Any:
        """Return a task's item, downloaded from S3 if necessary.

        Raises
        ------
        LookupError
            It was not stored, or is in S3 and must not be downloaded.
        """
        item = self.raw_item(index)
        return item.load(self.download if download else None) if isinstance(item, Prepared) else item

    def logs(self) -> dict[int, str]:
        """The output of each task that printed something, by index."""
        with self.changed:
            return dict(self.ledger.logs)

    def publish(self, event: ev.Event) -> None:
        """Apply `event` to the state, and wake waiting threads."""
        with self.changed:
            self._snapshot = reduce(self._snapshot, event)
            self.ledger.apply(event, self._snapshot.started_at)
            if self._listeners is not None:
                # With the lock held, so that callbacks get events in the order in which they were applied; `tell` only
                # queues.
                self._listeners.tell(event, self._snapshot.at(self.time.now()))
            self.changed.notify_all()

    def add(self, item: Any, octets: int = 0) -> Task | None:
        """Make a task of the next item, which refers to `octets` bytes of data; None if the job was stopped."""
        with self.changed:
            if self._snapshot.ended_at is not None:
                return None
            # A rerun's items are those of `indices`, in that order.
            index = self.ledger.add() if self._rerun_order is None else next(self._rerun_order)
            if (total := self._snapshot.total) is not None and index >= total:
                # The announced total came from the iterable's own length, which was wrong.
                self.publish(ev.Counted(None))
            if self._items is None:
                self.ledger.items[index] = item
            if octets:
                self.ledger.octets[index] = octets
            return Task(index, item)

    def rerun(self, indices: Sequence[int], options: MapOptions) -> Job:
        """Return a job with this one's results that reruns the unfinished tasks, `indices`."""
        with self.changed:
            job = Job(options, self.name_code, self._snapshot.total, self.function, self._items, self.time)
            job.ledger = self.ledger.without(indices)
            job._rerun_order = iter(indices)
            job._snapshot = self._snapshot.rerun(len(job.ledger.order), self.time.now())
            # Times count from the start of the first run, whose rows this job continues.
            job.began -= job.clock()
            return job

    def submit(self, tasks: Sequence[Task], memory_mb: int) -> bool:
        """Record that `tasks` are about to be sent; False if the job was stopped, so that they must not be."""
        with self.changed:
            if self.over:
                return False
            self.publish(ev.Submitted([task.index for task in tasks], self.time.now(), memory_mb))
            return True

    def record(
        self,
        invoked: Sequence[ev.Invoked],
        charges: Sequence[tuple[int, ev.Charge]],
        done: Sequence[Done],
    ) -> None:
        """Record executed invocations, charges for attempts, and the values and output of tasks."""
        values = [(each[0].index, each[1], each[2]) for each in done]
        for each in done:
            each[0].settled = True
        read = sum(self.ledger.octets.get(index, 0) for index, _, _ in values) if self.ledger.octets else 0
        self.publish(ev.Answered(invoked, values, charges, self.time.now(), read))
        # Without the lock: it runs the user's callbacks, which may wait for other threads that need it.
        self._futures.settle(index for index, _, _ in values)

    def recall(self, done: Sequence[tuple[Task, Any, str]], saved: float) -> bool:
        """Record values from the cache, and what computing them cost; False if the job was already stopped."""
        with self.changed:
            if self.over:
                return False
            for task, _, _ in done:
                task.settled = True
            self.publish(ev.Recalled([(task.index, value, log) for task, value, log in done], saved))
        self._futures.settle([task.index for task, _, _ in done])
        return True

    def fail(self, task: Task, error: TaskError, *, sent: bool = True) -> None:
        """Record that a task failed for good."""
        task.settled = True
        self.publish(ev.Failed(task.index, error, sent))
        self._futures.settle([task.index])

    def when_over(self, told: Callable[[], object]) -> None:
        """Call `told` once the job is over, from whatever thread ends it; immediately if it is over already."""
        with self.changed:
            if not self.over:
                self._waiting.append(told)
                return
        told()

    def _say(self, text: str) -> None:
        self.publish(ev.Noted(text))

    def await_callbacks(self) -> None:
        """Wait, but not forever, until callbacks know everything that has happened so far."""
        if self._listeners is not None:
            self._listeners.catch_up()

    def end(self) -> None:
        """Record that every task has ended and no more will follow."""
        self._stop(ev.Broken if self.error else ev.Ended)

    def break_off(self, error: BaseException) -> None:
        """Stop the job because of `error`; replies to invocations in flight are still recorded."""
        with self.changed:
            if self.over:
                return
            self.error = error
        self._stop(ev.Broken)

    def cancel(self) -> None:
        """Send nothing more; replies to invocations in flight are still recorded."""
        self._stop(ev.Cancelled)
        self.on_cancel()

    def interrupt(self) -> None:
        """Handle an interrupted wait: it ends the job, unless the job is detached."""
        # An interrupt ends only the waiting; `cancel` also keeps a detached job's tasks from starting.
        if self.options.detach:
            text = f"the job continues without this process: lithops_magic.attach({self.id!r}); .cancel() stops it"
            self.publish(ev.Noted(text))
        else:
            self.cancel()

    def future(self, index: int) -> TaskFuture[Any]:
        """The future of one task."""
        return self._futures.of(index)

    def why_unfinished(self, index: int) -> LithopsMagicError | None:
        """Why a task has neither value nor error; None if it has one."""
        with self.changed:
            state = self.ledger.state(index)
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
            # Tasks that will never be sent are counted as cancelled, which takes a total.
            if self._snapshot.total is None:
                self.publish(ev.Counted(len(self.ledger)))
            self.publish(event(self.time.now()))
            # After the event, so that whoever wakes up sees the final state.
            self.ended.set()
            waiting, self._waiting = self._waiting, []
        self._futures.settle()
        for told in waiting:
            told()

    def _outcome(self, index: int) -> tuple[BaseException | None, Any] | None:
        """Return a task's error and value; None while it has neither but may still get one."""
        unfinished = self.why_unfinished(index)
        if isinstance(unfinished, TaskPending):
            return None
        error = unfinished or self.ledger.errors.get(index)
        return error, None if error else self.ledger.values[index]
