"""The `Pool` of `multiprocessing`, on top of `LambdaExecutor`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from itertools import starmap
from multiprocessing import TimeoutError as ProcessTimeoutError
from queue import Empty, Queue
from typing import Any

from lithops_magic.lithops.multiprocessing.config import executor

__all__ = ["ApplyResult", "AsyncResult", "MapResult", "Pool", "ThreadPool"]


# A class of both, because the two TimeoutErrors are unrelated.
class PoolTimeout(ProcessTimeoutError, TimeoutError):
    """Raised by `multiprocessing` as well as caught by programs written for Lithops."""


class AsyncResult:
    """The result of one call or the list of several, like that of `multiprocessing.pool`."""

    def __init__(
        self,
        futures: list[Future[Any]],
        single: bool,
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> None:
        self._futures, self._single = futures, single
        self._callback, self._error_callback = callback, error_callback
        self._all: Future[Any] = Future()
        self._left, self._lock = len(futures), threading.Lock()
        for future in futures:
            future.add_done_callback(self._told)
        if not futures:
            self._finish()

    def _told(self, _: Future[Any]) -> None:
        with self._lock:
            self._left -= 1
            # Compared outside the lock, since callbacks run there and may use the pool.
            left = self._left
        if not left:
            self._finish()

    def _finish(self) -> None:
        try:
            values = [future.result() for future in self._futures]
        except BaseException as error:
            self._all.set_exception(error)
            if self._error_callback is not None:
                self._error_callback(error)
            return
        value = values[0] if self._single else values
        self._all.set_result(value)
        if self._callback is not None:
            self._callback(value)

    def get(self, timeout: float | None = None) -> Any:
        """Wait for the result and return it.

        Raises
        ------
        multiprocessing.TimeoutError
            It is not available after `timeout` seconds.
        """
        self.wait(timeout)
        if not self.ready():
            raise PoolTimeout
        return self._all.result()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the result."""
        try:
            self._all.exception(timeout)
        except TimeoutError:
            return

    def ready(self) -> bool:
        """Whether the result is available."""
        return self._all.done()

    def successful(self) -> bool:
        """Whether no call raised.

        Raises
        ------
        ValueError
            It is not available yet.
        """
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._all.exception() is None


class IMapIterator(Iterator[Any]):
    """The results of `imap`; an error is raised in place of its result, and later results are still available."""

    def __init__(self, futures: list[Future[Any]], *, ordered: bool) -> None:
        self._ready: Queue[Future[Any]] = Queue()
        self._left, self._ordered = len(futures), deque(futures if ordered else ())
        for future in () if ordered else futures:
            future.add_done_callback(self._ready.put)

    def next(self, timeout: float | None = None) -> Any:
        """Return the next result.

        Raises
        ------
        multiprocessing.TimeoutError
            It is not available after `timeout` seconds.
        """
        if not self._left:
            raise StopIteration
        try:
            # Removed only once it is there: after a timeout, `next` may be called again.
            future = self._ordered[0] if self._ordered else self._ready.get(timeout=timeout)
            future.exception(timeout)
        except (TimeoutError, Empty):
            raise PoolTimeout from None
        self._left -= 1
        if self._ordered:
            self._ordered.popleft()
        return future.result()

    def __next__(self) -> Any:
        return self.next()


class Pool:
    """A `multiprocessing.Pool` whose calls run on AWS Lambda.

    Parameters
    ----------
    processes
        Maximum concurrent sandboxes; by default, what the account allows.
    initializer, initargs
        Called once per sandbox.
    maxtasksperchild, context
        Ignored: they concern processes of this machine.
    options
        Options of `lithops_magic.LambdaExecutor`, such as ``memory=2048``.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
        **options: Any,
    ) -> None:
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        self._executor = executor(processes, initializer=initializer, initargs=tuple(initargs), **options)
        self._open = True

    def apply(self, func: Callable[..., Any], args: Iterable[Any] = (), kwds: Mapping[str, Any] | None = None) -> Any:
        """Call `func` once, and wait for its result."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """Call `func` once."""
        self._check()
        return AsyncResult([self._executor.submit(func, *args, **(kwds or {}))], True, callback, error_callback)

    def map(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = None) -> list[Any]:
        """Call `func` with each item, and wait for the list of results."""
        return self.starmap(func, ((item,) for item in iterable))

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """Call `func` with each item."""
        return self.starmap_async(func, ((item,) for item in iterable), chunksize, callback, error_callback)

    def starmap(
        self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]], chunksize: int | None = None
    ) -> list[Any]:
        """Call `func` with each item's elements as arguments, and wait for the list of results."""
        values: list[Any] = self.starmap_async(func, iterable).get()
        return values

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """Call `func` with each item's elements as arguments."""
        self._check()
        futures: list[Future[Any]] = list(starmap(self._executor.submitter(func), iterable))
        return AsyncResult(futures, False, callback, error_callback)

    def imap(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int = 1) -> IMapIterator:
        """Call `func` with each item, and yield the results in the order of the items."""
        self._check()
        # All at once: `multiprocessing`, too, takes the items as fast as they come.
        return IMapIterator(list(map(self._executor.submitter(func), iterable)), ordered=True)

    def imap_unordered(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int = 1) -> IMapIterator:
        """Call `func` with each item, and yield the results as they arrive."""
        self._check()
        return IMapIterator(list(map(self._executor.submitter(func), iterable)), ordered=False)

    def close(self) -> None:
        """Accept no more calls."""
        self._open = False
        self._executor.shutdown(wait=False)

    def terminate(self) -> None:
        """Accept no more calls, and cancel those that have not been sent."""
        self._open = False
        self._executor.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        """Wait for all calls.

        Raises
        ------
        ValueError
            The pool is still open.
        """
        if self._open:
            raise ValueError("Pool is still running")
        self._executor.shutdown()

    def _check(self) -> None:
        if not self._open:
            raise ValueError("Pool not running")

    def __enter__(self) -> Pool:
        self._check()
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    def __reduce__(self) -> Any:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")


ThreadPool = Pool
ApplyResult = MapResult = AsyncResult
