"""`ResponseFuture`: one call of a job, under Lithops' names."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lithops_magic.engine.calls import CallFuture
    from lithops_magic.engine.job.ledger import TaskStats


@dataclass(frozen=True)
class JobInfo:
    """What the futures of one job share."""

    executor_id: str
    job_id: str
    function_name: str
    runtime_memory: int
    execution_timeout: int
    runtime_name: str
    backend: str
    created: float = 0.0
    """Wall-clock time of its creation."""

    @property
    def job_key(self) -> str:
        """Identifies the job among those of all executors."""
        return f"{self.executor_id}-{self.job_id}"


class ResponseFuture:
    """The future of one call.

    Its state is in attributes, as in Lithops: `done`, `success`, `error`, `running`, `ready`. `success` means that the
    call succeeded; Lithops' is also true for failed calls. `cancel()` works, where Lithops' raises an error.

    Parameters
    ----------
    job
        The job it belongs to.
    number
        Its position there.
    """

    def __init__(self, job: JobInfo, number: int) -> None:
        self._job = job
        self.call_id = f"{number:05d}"
        self.future: Future[Any] = Future()
        """The equivalent future of the standard library."""
        self._call: CallFuture[Any] | None = None
        self._begin: Callable[[], CallFuture[Any]] | None = None
        """Makes the call; None before it is known, and once there is a value."""
        self._read = False
        self._produce_output = True
        self._lock, self._ended = threading.Lock(), False
        self.origin: tuple[Any, str] | None = None
        """Bucket and key of the object it was called with."""
        self.futures = False
        """Whether it returned futures of further calls, whose values become its own."""

    executor_id = property(lambda self: self._job.executor_id)
    job_id = property(lambda self: self._job.job_id)
    job_key = property(lambda self: self._job.job_key)
    function_name = property(lambda self: self._job.function_name)
    runtime_memory = property(lambda self: self._job.runtime_memory)
    runtime_name = property(lambda self: self._job.runtime_name)
    execution_timeout = property(lambda self: self._job.execution_timeout)
    backend = property(lambda self: self._job.backend)

    # For executors

    def _start(self, begin: Callable[[], CallFuture[Any]]) -> None:
        """Take on the outcome of the call that `begin` makes."""
        self._begin = begin
        self._call = call = begin()
        if self.future.cancelled():
            call.cancel()
        call.add_done_callback(self._settle)

    def _after(self, inputs: Sequence[ResponseFuture], begin: Callable[[list[Any]], CallFuture[Any]]) -> None:
        """Start when all inputs have values, in the thread of the last one; fail like the first that fails."""
        left, lock = len(inputs), threading.Lock()

        def told(_: Future[Any]) -> None:
            nonlocal left
            with lock:
                left -= 1
                if left:
                    return
            try:
                # All are done: this cannot wait, and raises the first error in the order of the inputs.
                values = [each.future.result() for each in inputs]
                if not self.future.cancelled():
                    self._start(partial(begin, values))
            except BaseException as error:
                self._fail(error)

        if not inputs:
            self._start(partial(begin, []))
        for each in inputs:
            each.future.add_done_callback(told)

    def _settle(self, call: Future[Any]) -> None:
        try:
            value = self._resolved(call.result())
        except BaseException as error:
            self._fail(error)
        else:
            self._begin = None  # it holds the arguments
            if self.future.set_running_or_notify_cancel():
                self.future.set_result(value)

    def _resubmit(self) -> ResponseFuture | None:
        """Make the same call once more, and return its future; None if it was never made, or has a value."""
        if self._begin is None or self._call is None:
            return None
        made = ResponseFuture(self._job, int(self.call_id))
        made.origin = self.origin
        try:
            made._start(self._begin)
        except BaseException as error:
            made._fail(error)
        return made

    def _resolved(self, value: Any) -> Any:
        """Return a value, or the values of returned futures, which were done before they left their task."""
        if isinstance(value, ResponseFuture):
            self.futures = True
            return value.future.result()
        if isinstance(value, list) and value and all(isinstance(each, ResponseFuture) for each in value):
            self.futures = True
            return [each.future.result() for each in value if each._produce_output]
        return value

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, CancelledError):
            self._cancel()
        elif not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    def _cancel(self) -> bool:
        """Cancel the future, and notify its waiters once."""
        with self._lock:
            # `set_running_or_notify_cancel` may be called only once, but several threads may cancel.
            first, self._ended = not self._ended, True
        cancelled = self.future.cancel()
        if first and cancelled:
            self.future.set_running_or_notify_cancel()
        return cancelled

    # For programs

    @property
    def invoked(self) -> bool:
        """Whether it has been sent or is waiting for a sandbox."""
        return not self.done

    @property
    def new(self) -> bool:
        """Whether it is still waiting for the values of other calls."""
        return self._call is None and not self.done

    @property
    def running(self) -> bool:
        """Whether it has been sent and is not done."""
        return self._call is not None and self._call.running()

    @property
    def done(self) -> bool:
        """Whether it has a value or an error, or was canceled."""
        return self.future.done()

    @property
    def ready(self) -> bool:
        """The same as `done`: a value is available as soon as it exists."""
        return self.done

    @property
    def success(self) -> bool:
        """Whether it has a value."""
        return self.done and not self.error

    @property
    def error(self) -> bool:
        """Whether it failed or was canceled."""
        return self.future.done() and (self.future.cancelled() or self.future.exception() is not None)

    @property
    def activation_id(self) -> str | None:
        """The sandbox of its last attempt."""
        stats = self._task_stats()
        return (stats.sandbox or None) if stats is not None else None

    @property
    def logs(self) -> str | None:
        """Its output; None until it is done."""
        if not self.done or self.future.cancelled():
            return None
        return getattr(self.future.exception(), "log", None) or (self._call.log if self._call is not None else "")

    @property
    def stats(self) -> dict[str, Any]:
        """Times in seconds since 1970, and durations in seconds, under Lithops' names, as far as known yet."""
        stats = self._task_stats()
        if stats is None or self._call is None or self._call.task is None:
            return {}
        began = self._call.task[0].began
        times = {
            "host_job_create_tstamp": self._job.created,
            "host_submit_tstamp": began + stats.sent_s,
            "worker_start_tstamp": began + stats.started_s,
            "worker_func_start_tstamp": began + stats.started_s,
            "worker_func_end_tstamp": began + stats.ended_s,
            "worker_end_tstamp": began + stats.ended_s,
            "host_status_done_tstamp": began + stats.ended_s,
            "worker_func_exec_time": stats.duration_s,
            "worker_exec_time": stats.duration_s,
            "worker_peak_memory_end": stats.max_memory_mb * 1e6,
        }
        facts = {
            # Only the overall peak is known.
            "worker_peak_memory_start": math.nan,
            "worker_cold_start": stats.cold,
            "worker_billed_ms": stats.billed_ms,
            "worker_attempts": stats.attempts,
        }
        return {**{name: value for name, value in times.items() if not math.isnan(value)}, **facts}

    def _task_stats(self) -> TaskStats | None:
        if self._call is None or self._call.task is None:
            return None
        job, index = self._call.task
        return job.stats(index)

    def add_done_callback(self, fn: Callable[[ResponseFuture], object]) -> None:
        """Call `fn` with this future when it is done, like `concurrent.futures`."""
        self.future.add_done_callback(lambda _: fn(self))

    def cancel(self) -> bool:
        """Cancel the call unless it has been sent; return whether it is canceled."""
        return self._cancel() if self._call is None else self._call.cancel()

    def cancelled(self) -> bool:
        """Whether it was canceled."""
        return self.future.cancelled()

    def status(
        self, throw_except: bool = True, internal_storage: Any = None, check_only: bool = False, **_: Any
    ) -> Any:
        """Wait for it, unless `check_only`; return the stats, or None while it runs; raise as `result` does."""
        if check_only and not self.done:
            return None
        self.result(throw_except)
        return self.stats

    def result(self, throw_except: bool = True, internal_storage: Any = None, **_: Any) -> Any:
        """Wait for the value and return it.

        Parameters
        ----------
        throw_except
            Raise the call's error; otherwise return None in that case.
        """
        try:
            return self.future.result()
        except (Exception, CancelledError):
            if throw_except:
                raise
            return None

    def __reduce__(self) -> Any:
        """Pickle the future with its outcome, for which this waits."""
        try:
            # A call and its job stay in this process; what travels is a future that is done.
            outcome = True, self.future.result()
        except (Exception, CancelledError) as error:
            outcome = False, error
        return _of_outcome, (self._job, int(self.call_id), *outcome, self._produce_output)

    def __repr__(self) -> str:
        state = "error" if self.error else "done" if self.done else "running" if self.running else "waiting"
        return f"<ResponseFuture {self.job_key}-{self.call_id} of {self.function_name}: {state}>"


def _of_outcome(job: JobInfo, number: int, good: bool, outcome: Any, produces: bool) -> ResponseFuture:
    made = ResponseFuture(job, number)
    made._produce_output = produces
    if good:
        made.future.set_result(outcome)
    else:
        made.future.set_exception(outcome)
    return made
