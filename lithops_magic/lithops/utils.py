"""`FuturesList`: the futures of a job, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from lithops_magic.errors import MisuseError
from lithops_magic.lithops.future import ResponseFuture

if TYPE_CHECKING:
    from lithops_magic.lithops.executors import FunctionExecutor


class FuturesList(list[ResponseFuture]):
    """A list of futures that can be mapped over again.

    A chained call begins when its input is there, not before: no sandbox waits, billed, for another one.
    """

    def __init__(self, futures: Iterable[ResponseFuture] = (), executor: FunctionExecutor | None = None) -> None:
        super().__init__(futures)
        self.executor = executor
        self.alt_list: list[ResponseFuture] = list(self)
        """All futures of the chain."""

    def map(self, map_function: Callable[..., Any], sync: bool = False, **options: Any) -> FuturesList:
        """Map over the values of these futures, which become those of the new calls."""
        return self._extended(self._executor().map(map_function, FuturesList(self), **options))

    def map_reduce(
        self, map_function: Callable[..., Any], reduce_function: Callable[..., Any], sync: bool = False, **options: Any
    ) -> FuturesList:
        """Map over the values of these futures, and reduce what comes of that."""
        return self._extended(self._executor().map_reduce(map_function, FuturesList(self), reduce_function, **options))

    def wait(self, **options: Any) -> tuple[FuturesList, FuturesList]:
        """Wait for all futures of the chain."""
        return self._executor().wait(self.alt_list, **options)

    def get_result(self, **options: Any) -> Any:
        """Return the values of the chain's last job."""
        return self._executor().get_result(self.alt_list, **options)

    def _executor(self) -> FunctionExecutor:
        if self.executor is None:
            raise MisuseError("this list of futures has no executor: use that which made its futures")
        return self.executor

    def _extended(self, futures: FuturesList) -> FuturesList:
        self.alt_list.extend(futures)
        self[:] = futures
        return self


def as_list(fs: Any) -> list[ResponseFuture]:
    """Return one future or several as a list.

    Raises
    ------
    MisuseError
        It is something else.
    """
    futures = [fs] if isinstance(fs, ResponseFuture) else list(fs)
    for each in futures:
        if not isinstance(each, ResponseFuture):
            raise MisuseError(f"futures are waited for, not {type(each).__name__}")
    return futures
