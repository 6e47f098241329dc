"""`RetryingFunctionExecutor`: retries failed calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lithops_magic.lithops.arguments import elements
from lithops_magic.lithops.executors import FunctionExecutor
from lithops_magic.lithops.future import ResponseFuture
from lithops_magic.lithops.wait import ALL_COMPLETED, ALWAYS, ANY_COMPLETED

__all__ = ["ALL_COMPLETED", "ALWAYS", "ANY_COMPLETED", "RetryingFunctionExecutor", "RetryingFuture"]


class RetryingFuture(ResponseFuture):
    """A future whose call is retried at once when it fails, as long as it has retries left.

    Parameters
    ----------
    first
        The future of the first attempt.
    begun
        Called with the future of each further attempt.
    retries
        Attempts after the first.
    input
        The element it is called with; of a part of an object, its bucket and key.
    """

    def __init__(
        self, first: ResponseFuture, begun: Callable[[ResponseFuture], object], retries: int, input: Any = None
    ) -> None:
        super().__init__(first._job, int(first.call_id))
        self._begun, self.retries, self.failure_count, self.input = begun, retries, 0, input
        self._attempt(first)

    @property
    def response_future(self) -> ResponseFuture:
        """The future of the last attempt."""
        return self._last

    def _attempt(self, future: ResponseFuture) -> None:
        self._last = future
        self._call = future._call
        future.future.add_done_callback(lambda _: self._tried())

    def _tried(self) -> None:
        self._call = self._last._call
        if self._last.error and not self._last.cancelled() and not self.future.cancelled():
            self.failure_count += 1
            # A call whose input failed was never made.
            if self.failure_count <= self.retries and (another := self._last._resubmit()) is not None:
                self._begun(another)
                return self._attempt(another)
        return self._settle(self._last.future)


class RetryingFunctionExecutor:
    """A `FunctionExecutor` whose `map` takes `retries`: a call that raised is retried while others run.

    Lithops retries only if `wait` is told not to raise; here, calls are always retried.
    """

    def __init__(self, executor: FunctionExecutor) -> None:
        self.executor = executor
        self.config = executor.config

    def __enter__(self) -> RetryingFunctionExecutor:
        return self

    def __exit__(self, *args: object) -> None:
        self.executor.__exit__(*args)

    def map(
        self,
        map_function: Callable[..., Any],
        map_iterdata: Any,
        *args: Any,
        retries: int | None = None,
        **options: Any,
    ) -> list[RetryingFuture]:
        """Call a function for each element; `retries` defaults to the configuration's `lithops.retries`."""
        tries = retries if retries is not None else int(self.config["lithops"].get("retries") or 0)
        data = elements(map_iterdata)
        first = self.executor.map(map_function, data, *args, **options)
        # Of objects that are split there are more calls than elements.
        inputs = data if len(data) == len(first) else [each.origin for each in first]
        # Attempts count as calls of the executor: they cost money, and `job_summary` shows them.
        begun = self.executor.futures.append
        return [RetryingFuture(each, begun, tries, element) for each, element in zip(first, inputs, strict=True)]

    def wait(self, fs: list[RetryingFuture], throw_except: bool = True, **options: Any) -> Any:
        """Wait for futures, including their retries."""
        return self.executor.wait(fs, throw_except, **options)

    def get_result(self, fs: list[RetryingFuture], throw_except: bool = True, **options: Any) -> Any:
        """Wait for futures, including their retries, and return their values."""
        return self.executor.get_result(fs, throw_except, **options)

    def clean(self, *args: Any, **options: Any) -> None:
        """Clean up, as `FunctionExecutor.clean` does."""
        self.executor.clean(*args, **options)
