"""An open-ended job: calls are submitted one by one, from any thread, and each completes its own future."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures._base import PENDING
from typing import TYPE_CHECKING, Any

from lithops_magic import user_code
from lithops_magic.engine.backend.aws_lambda import LambdaBackend
from lithops_magic.engine.dispatch.items import Exhausted, Pulled, Source, Taken
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.job import Done, Job
from lithops_magic.engine.job.task import R, SafeFuture, Task
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.wire.call import Begin, Call, Callee
from lithops_magic.engine.wire.caller import caller
from lithops_magic.engine.wire.function import Function, Setup
from lithops_magic.errors import JobCancelled, TaskError
from lithops_magic.packages import Request

if TYPE_CHECKING:
    from lithops_magic.config import Settings


class _Condition:
    """A condition created only when something waits for it: thousands would slow down garbage collection."""

    __slots__ = ("_lock", "_waited")

    def __init__(self) -> None:
        # Reentrant, as a Condition's own lock is by default.
        self._lock = threading.RLock()
        self._waited: threading.Condition | None = None

    def acquire(self) -> bool:
        return self._lock.acquire()

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *error: Any) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        if self._waited is None:
            self._waited = threading.Condition(self._lock)
        return self._waited.wait(timeout)

    def notify_all(self) -> None:
        if self._waited is not None:
            self._waited.notify_all()


class CallFuture(SafeFuture[R]):
    """The future of a call, like any in `concurrent.futures`; asyncio can await it, too."""

    def __init__(self) -> None:
        # Sets everything that `Future.__init__` does.
        self._condition: Any = _Condition()
        self._state: Any = PENDING
        self._result: Any = None
        self._exception: Any = None
        self._waiters: Any = []
        self._done_callbacks: Any = []

    log = ""
    """What the call printed, once it is done; for a failed call, see `error.log`."""
    task: tuple[Job, int] | None = None
    """The job that makes the call, and the call's index in it, once it was picked up."""

    def __await__(self) -> Generator[Any, None, R]:
        from asyncio import wrap_future

        return wrap_future(self).__await__()


class Backlog(Source):
    """Calls not yet requested: any thread adds them, the job's thread removes them, and nobody blocks."""

    def __init__(self) -> None:
        super().__init__(())
        self._owned = False
        self._calls: deque[Call] = deque()
        self._lock = threading.Lock()
        self._open = True

    def put(self, call: Call) -> bool:
        """Add a call; False if the backlog is closed."""
        with self._lock:
            if not self._open:
                return False
            self._calls.append(call)
            # One message for all calls until they are taken, however many threads submit.
            if self.asked > 0 and not self._announced:
                self._announced = True
                self._deliver(Pulled())
        return True

    def end(self) -> None:
        """Close the backlog."""
        with self._lock:
            self._open = False
            self._tell_the_end()

    def drain(self) -> list[Call]:
        """Remove and return all calls not yet requested."""
        with self._lock:
            calls = list(self._calls)
            self._calls.clear()
            self._tell_the_end()
        return calls

    def size(self) -> int:
        """Number of calls not yet requested."""
        return len(self._calls)

    def start(self, deliver: Callable[[Pulled | Exhausted], None]) -> None:
        """Start delivering."""
        self._deliver = deliver

    def ask(self, items: int) -> bool:
        """Request `items` more calls; return whether any are waiting."""
        if items <= 0 or self.last:
            return False
        with self._lock:
            self.asked += items
            self._tell_the_end()
            return bool(self._calls)

    def first(self) -> Taken | None:
        """The next call, which stays in the backlog; None if there is none."""
        with self._lock:
            return Taken(self._calls[0], self._calls[0]) if self._calls else None

    def take(self) -> Iterator[Taken]:
        """Yield requested calls that were not cancelled."""
        self._announced = False
        while self.asked > 0:
            with self._lock:
                if not self._calls:
                    self._tell_the_end()
                    return
                call = self._calls.popleft()
            # From here on it cannot be cancelled: it is about to be sent.
            if call.future.set_running_or_notify_cancel():
                self.asked -= 1
                yield Taken(call, call)

    def stop(self) -> None:
        """Stop delivering."""
        self.last = True

    def _tell_the_end(self) -> None:
        if self.asked > 0 and not (self._open or self._calls or self._ended):
            self._ended = True
            self._deliver(Exhausted())


class Calls(Job):
    """The state of a job of calls; it drops calls that are done."""

    bursts = True

    def __init__(self, options: MapOptions, backlog: Backlog, tell: Callable[[str], None]) -> None:
        super().__init__(options, user_code.name)
        self._backlog = backlog
        self._tell = tell

    def publish(self, event: ev.Event) -> None:
        """Apply `event`, and pass on notes for the user."""
        super().publish(event)
        if isinstance(event, ev.Noted):
            self._tell(event.text)

    @property
    def queued(self) -> int:
        """Calls waiting to be sent."""
        now = self._snapshot
        return self._backlog.size() + len(self.ledger) - now.running - now.done - now.failed

    def add(self, item: Any, octets: int = 0) -> Task | None:
        """Make the next call a task."""
        task = super().add(item, octets)
        if task is not None:
            task.kind = item.kind
            item.future.task = self, task.index
        return task

    def record(
        self,
        invoked: Sequence[ev.Invoked],
        charges: Sequence[tuple[int, ev.Charge]],
        done: Sequence[Done],
    ) -> None:
        """Record executed invocations, and resolve futures."""
        # The futures hold the values: kept here, too, they could never be freed while the executor lives.
        super().record(invoked, charges, [(each[0], None, "") for each in done])
        for task, value, log, *_ in done:
            future: Any = task.item.future
            if not future.done():
                future.log = log
                future.set_result(value)

    def fail(self, task: Task, error: TaskError, *, sent: bool = True) -> None:
        """Record that a call failed for good."""
        super().fail(task, error, sent=sent)
        with self.changed:
            # The future has the error; an executor may make calls for days.
            for records in (self.ledger.errors, self.ledger.logs, self.ledger.items):
                records.pop(task.index, None)
        _fail(task.item, error)

    def _stop(self, event: type[ev.Ended | ev.Cancelled | ev.Broken]) -> None:
        # First, so that calls added from now on find that the job is over.
        self._backlog.end()
        super()._stop(event)
        with self.changed:
            left = list(self.ledger.items.values())
        for call in left:
            _fail(call, self.error or JobCancelled("The executor was stopped before this call was finished."))
        for call in self._backlog.drain():
            if call.future.set_running_or_notify_cancel():
                _fail(call, self.error or JobCancelled("The executor was stopped before this call was sent."))


def _fail(call: Call, error: BaseException) -> None:
    if not call.future.done():
        call.future.set_exception(error)


class Stream:
    """Runs calls until it is closed.

    Parameters
    ----------
    options, settings
        As for any job.
    begin
        Called first in each sandbox.
    callee
        The function of all calls, if it is too large to be sent with each.
    tell
        Told, from any thread, what the user should know.
    """

    def __init__(
        self,
        options: MapOptions,
        settings: Settings,
        begin: Begin | None,
        callee: Callee | None,
        tell: Callable[[str], None],
    ) -> None:
        setup = Setup(env=dict(options.env), processes=settings.worker_processes, locals=options.locals)
        function = Function.pickle(caller(begin, callee), (), Request.parse(options.packages, options.files), setup)
        backend = LambdaBackend(options.applied_to(settings), options.workers, function.need)
        self._backlog = Backlog()
        self.job = Calls(options, self._backlog, tell)
        Scheduler(self.job, function, self._backlog, backend, settings.worker_processes).start()

    def put(self, call: Call) -> bool:
        """Submit a call; False if the stream was closed or failed."""
        return self._backlog.put(call)

    def end(self) -> None:
        """Accept no more calls; accepted calls still complete."""
        self._backlog.end()

    def cancel_queued(self) -> None:
        """Cancel the calls that were not picked up yet."""
        for call in self._backlog.drain():
            call.future.cancel()
            call.future.set_running_or_notify_cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the stream is over; return whether it is."""
        return self.job.ended.wait(timeout)
