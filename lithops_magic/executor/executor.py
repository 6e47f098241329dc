"""`LambdaExecutor`: the `concurrent.futures.Executor` interface, on top of engine jobs that accept calls."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from lithops_magic.engine.calls import CallFuture, Stream
from lithops_magic.engine.options import KEEP_AFTER, Callback, MapOptions
from lithops_magic.engine.wire.call import Begin, Callee, Callees
from lithops_magic.engine.wire.caller import BROKEN
from lithops_magic.errors import LithopsMagicError
from lithops_magic.executor.results import Results
from lithops_magic.executor.streams import Streams
from lithops_magic.packages import Request

if TYPE_CHECKING:
    from lithops_magic.config import Settings

P = ParamSpec("P")
T = TypeVar("T")

MANY = 1000
"""Calls that may be in flight by default: an AWS account's default concurrency limit."""
_OVER = "cannot schedule new futures after shutdown"
_executors: weakref.WeakSet[LambdaExecutor] = weakref.WeakSet()


class LambdaExecutor(Executor):
    """A `concurrent.futures.Executor` whose calls run on AWS Lambda.

    It works with anything that accepts an executor, or a pool's `map`: SciPy's ``workers=executor.map``, Dask's
    ``scheduler=executor``, ``loop.run_in_executor(executor, ...)``, joblib's ``parallel_config(backend="lambda")``.
    adaptive's runners know only some executors by their classes: give them ``ntasks=`` as well.

    Nothing touches AWS before the first call. Short calls share invocations, calls of all functions share one deployed
    function, and the packages that a function uses are found and shipped as `lithops_magic.map` does. A function is
    pickled when it is submitted, so what it uses of the notebook is as it was then. What the caller changes in an
    argument afterwards is not seen, and what a call changes in one is not seen here.

    Parameters
    ----------
    max_workers
        Maximum invocations in flight, like `workers` of `lithops_magic.map`; by default, what the account allows.
    initializer, initargs
        Called once in each sandbox before its first call; globals that it sets are seen by the notebook's functions. If
        it raises, the executor is broken, as a `concurrent.futures.ProcessPoolExecutor` would be.
    memory, timeout, tmp, env, chunksize, retries, retry_errors, retry_memory, max_cost, keep_after, locals, packages
        As for `lithops_magic.map`. `max_cost` is for all calls together.
    files, callbacks
        As for `lithops_magic.map`; callbacks receive the events of every call.
    settings
        Defaults to Lithops' configuration, else the local AWS.

    Raises
    ------
    MisuseError
        An argument is wrong.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: Sequence[Any] = (),
        memory: int | None = None,
        timeout: int | None = None,
        tmp: int | None = None,
        env: Mapping[str, str] | None = None,
        chunksize: int | None = None,
        retries: int = 2,
        retry_errors: bool = False,
        retry_memory: float | None = None,
        max_cost: float | None = None,
        keep_after: float = KEEP_AFTER,
        locals: bool = False,
        packages: str | Sequence[str] | None = None,
        files: str | Sequence[str] | None = None,
        callbacks: Callback | Sequence[Callback] = (),
        settings: Settings | None = None,
    ) -> None:
        # The arguments: first, before there are other local variables.
        given = vars()
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        names = {"max_workers", "initializer", "initargs", "settings", "self", "__class__"}
        self._options = MapOptions(
            **{name: value for name, value in given.items() if name not in names}, workers=max_workers
        )
        self._settings = settings
        # Libraries such as Dask read this attribute of the standard library's executors to decide how much to submit.
        self._max_workers = max_workers or MANY
        self._begin: Begin | None = None if initializer is None else (initializer, tuple(initargs))
        self._callees = Callees(Request.parse(self._options.packages, self._options.files), self._begin)
        self._over = False
        self._broken: BaseException | None = None
        self._forked()
        _executors.add(self)

    def _forked(self) -> None:
        """Start afresh: a forked child has none of its parent's threads, and must not share its connections."""
        if (before := vars(self).get("_finalizer")) is not None:
            # The parent's jobs are not the child's to end.
            before.detach()
        self._lock = threading.Lock()
        self._streams = Streams(self._options, self._settings, self._begin)
        # Calls submitted to a garbage-collected executor are still completed.
        self._finalizer = weakref.finalize(self, self._streams.end)
        # At exit, `_leave` completes the calls instead.
        self._finalizer.atexit = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> CallFuture[T]:
        """Schedule ``fn(*args, **kwargs)`` on Lambda, and return a future of its result.

        Raises
        ------
        RuntimeError
            The executor has been shut down, or an initializer failed.
        """
        future: CallFuture[T] = CallFuture()
        if not callable(fn):
            raise TypeError(f"submit takes a function and its arguments, but {fn!r} is not callable")
        if self._over or self._broken is not None:
            self._check()
        try:
            # As in a process pool, what cannot be pickled is the future's error, not one of `submit`.
            call, callee = self._callees.call(future, fn, args, kwargs)
        except LithopsMagicError as error:
            future.set_exception(error)
            return future
        self._put(call, callee)
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Results[T]:
        """Return an iterator over the results of `fn` for the iterables' items, in order.

        Parameters
        ----------
        timeout
            Seconds from now after which waiting for a result raises `TimeoutError`.
        chunksize
            Ignored: chunks adapt to how long calls take. The executor's own `chunksize` fixes their size.
        buffersize
            Maximum calls submitted ahead of the results taken; the iterables are then consumed lazily. None: all calls
            are submitted at once.

        Raises
        ------
        ValueError
            `chunksize` or `buffersize` is less than 1.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        self._check()
        submit = self.submitter(fn)
        calls = zip(*iterables, strict=False)
        first = calls if buffersize is None else itertools.islice(calls, buffersize)
        futures = deque(itertools.starmap(submit, first))
        return Results(futures, None if buffersize is None else calls, submit, timeout)

    def submitter(self, fn: Callable[..., T]) -> Callable[..., CallFuture[T]]:
        """Return a function that submits calls of `fn` as it is now."""
        try:
            callee = self._callees.pickle(fn)
        except LithopsMagicError as error:
            failed = error
            return lambda *_: _failed(failed)

        # A library that keeps the function must not keep the executor alive.
        me = weakref.ref(self)

        def submit(*args: Any) -> CallFuture[T]:
            if (executor := me()) is None:
                raise RuntimeError(_OVER)
            future: CallFuture[T] = CallFuture()
            try:
                call = callee.call(future, args, {})
            except LithopsMagicError as error:
                future.set_exception(error)
                return future
            executor._put(call, callee)
            return future

        return submit

    def _check(self) -> None:
        if self._broken is not None:
            raise BrokenExecutor(str(self._broken)) from self._broken
        if self._over:
            raise RuntimeError(_OVER)

    def _put(self, call: Any, callee: Callee) -> None:
        for note in callee.notes:
            self._streams.tell(note)
        with self._lock:
            if self._over or self._broken is not None:
                self._check()
            if self._begin is not None:
                call.future.add_done_callback(self._watch)
            # A broken stream accepts no more calls; the next one may work.
            while not (stream := self._streams.of(callee)).put(call):
                self._streams.drop(stream)

    def _watch(self, future: Future[Any]) -> None:
        """Mark the executor broken if an initializer has failed."""
        if future.cancelled() or self._broken is not None:
            return
        error = future.exception()
        # Recognized by its text: user code may raise BrokenExecutor for reasons of its own.
        if isinstance(error, BrokenExecutor) and error.args and str(error.args[0]).startswith(BROKEN):
            self._broken = error
            for stream in self._streams.all:
                stream.job.break_off(error)

    @property
    def streams(self) -> list[Stream]:
        """The current jobs that make the calls, without those already replaced."""
        return self._streams.open

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls; those already submitted are still completed.

        Parameters
        ----------
        wait
            Return only then.
        cancel_futures
            Cancel calls that have not been sent yet.
        """
        with self._lock:
            self._over = True
            streams = self._streams.all
        # Not under the lock: a future's callback may submit.
        for stream in streams:
            if cancel_futures:
                stream.cancel_queued()
            stream.end()
        if wait:
            for stream in streams:
                stream.wait()

    def __reduce__(self) -> NoReturn:
        raise TypeError("an executor cannot be sent to its own tasks")

    def __repr__(self) -> str:
        state = "broken" if self._broken is not None else "shut down" if self._over else "ready"
        return f"<LambdaExecutor: {state}>"


def _failed(error: BaseException) -> CallFuture[Any]:
    future: CallFuture[Any] = CallFuture()
    future.set_exception(error)
    return future


def _leave() -> None:
    """Complete submitted calls at interpreter exit, as the standard library's executors do."""
    for executor in list(_executors):
        executor.shutdown()


def _child() -> None:
    for executor in list(_executors):
        executor._forked()


# Registered with `threading`, since new threads cannot be started in `atexit` handlers.
threading._register_atexit(_leave)  # type: ignore[attr-defined]
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_child)
