"""What `LambdaExecutor.map` returns: an iterator, also an async one, over results in the order of the items."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Results(Iterator[T], AsyncIterator[T], Generic[T]):
    """Results of calls, each taken once; calls whose results are no longer wanted are canceled.

    Parameters
    ----------
    futures
        Of the calls submitted so far.
    calls
        The arguments of the other calls.
    submit
        Submits one.
    timeout
        Seconds from now.
    """

    def __init__(
        self,
        futures: deque[Any],
        calls: Iterator[tuple[Any, ...]] | None,
        submit: Callable[..., Future[T]],
        timeout: float | None,
    ) -> None:
        self._futures: deque[Future[T]] = futures
        self._calls = calls
        self._submit = submit
        self._end = None if timeout is None else time.monotonic() + timeout

    def __iter__(self) -> Results[T]:
        return self

    def __next__(self) -> T:
        if not self._futures:
            raise StopIteration
        future = self._following()
        try:
            return future.result(None if self._end is None else self._end - time.monotonic())
        except BaseException:
            # As the standard library does: once a result failed, the rest is no longer wanted.
            future.cancel()
            self.close()
            raise
        finally:
            # Keep no reference in the frame of a stored traceback.
            del future

    def __aiter__(self) -> Results[T]:
        return self

    async def __anext__(self) -> T:
        from asyncio import wait_for, wrap_future

        if not self._futures:
            raise StopAsyncIteration
        future = self._following()
        try:
            return await wait_for(wrap_future(future), None if self._end is None else self._end - time.monotonic())
        except BaseException:
            self.close()
            raise
        finally:
            del future

    def close(self) -> None:
        """Cancel the calls whose results have not been taken."""
        while self._futures:
            self._futures.popleft().cancel()

    # As with the generator that the standard library returns, dropping it cancels what was not taken.
    def __del__(self) -> None:
        self.close()

    def _following(self) -> Future[T]:
        """Take the next future, and submit another call in its place."""
        if self._calls is not None:
            try:
                self._futures.append(self._submit(*next(self._calls)))
            except StopIteration:
                self._calls = None
            except BaseException:
                self.close()
                raise
        return self._futures.popleft()
