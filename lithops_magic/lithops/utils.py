"""`FuturesList`: the futures of a job, and chained calls."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from lithops_magic.errors import MisuseError
from lithops_magic.lithops import inside
from lithops_magic.lithops.constants import LOGGER_FORMAT_SHORT
from lithops_magic.lithops.future import ResponseFuture

if TYPE_CHECKING:
    from lithops_magic.lithops.executors import FunctionExecutor


class FuturesList(list[ResponseFuture]):
    """A list of futures that can be mapped over again.

    A chained call starts only when its input is available: no sandbox is billed for waiting on another one.
    """

    def __init__(self, futures: Iterable[ResponseFuture] = (), executor: FunctionExecutor | None = None) -> None:
        super().__init__(futures)
        self.executor = executor
        self.alt_list: list[ResponseFuture] = list(self)
        """All futures of the chain."""

    def map(self, map_function: Callable[..., Any], sync: bool = False, **options: Any) -> FuturesList:
        """Map over the values of these futures; the list then holds the new calls' futures. `sync` is ignored."""
        return self._extended(self._executor().map(map_function, FuturesList(self), **options))

    def map_reduce(
        self, map_function: Callable[..., Any], reduce_function: Callable[..., Any], sync: bool = False, **options: Any
    ) -> FuturesList:
        """Map over the values of these futures, and reduce the results. `sync` is ignored."""
        return self._extended(self._executor().map_reduce(map_function, FuturesList(self), reduce_function, **options))

    def wait(self, **options: Any) -> tuple[FuturesList, FuturesList]:
        """Wait for all futures of the chain."""
        return self._executor().wait(self.alt_list, **options)

    def get_result(self, **options: Any) -> Any:
        """Return the values of the chain's last job."""
        return self._executor().get_result(self.alt_list, **options)

    def _executor(self) -> FunctionExecutor:
        if self.executor is None:  # it was unpickled
            from lithops_magic.lithops.executors import FunctionExecutor

            self.executor = FunctionExecutor()
        return self.executor

    def __reduce__(self) -> Any:
        return FuturesList, (list(self),)

    def _extended(self, futures: FuturesList) -> FuturesList:
        self.alt_list.extend(futures)
        self[:] = futures
        return self


def as_list(fs: Any) -> list[ResponseFuture]:
    """Return one future or several as a list.

    Raises
    ------
    MisuseError
        It is not a future.
    """
    futures = [fs] if isinstance(fs, ResponseFuture) else list(fs)
    for each in futures:
        if not isinstance(each, ResponseFuture):
            raise MisuseError(f"only futures can be waited for, not {type(each).__name__}")
    return futures


def is_lithops_worker() -> bool:
    """Whether this is a task."""
    return inside.is_task()


def is_unix_system() -> bool:
    """Whether this is not Windows."""
    return os.name == "posix"


def is_notebook() -> bool:
    """Whether this is a notebook's kernel."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None and not inside.is_task() else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def sizeof_fmt(num: float, suffix: str = "B") -> str:
    """Return a size as Lithops writes it."""
    for unit in ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi"):
        if abs(num) < 1024:
            return f"{num:3.1f}{unit}{suffix}"
        num /= 1024
    return f"{num:.1f}Yi{suffix}"


def setup_lithops_logger(
    log_level: str | int | None = "info", log_format: str | None = None, stream: Any = None, filename: str | None = None
) -> None:
    """Configure the logger "lithops", with a file if one is given; only programs use it, as executors log nothing."""
    logger = logging.getLogger("lithops")
    if log_level is None or log_level is False:
        logger.disabled = True
        return
    handler = logging.FileHandler(filename) if filename else logging.StreamHandler()
    handler.setFormatter(logging.Formatter(log_format or LOGGER_FORMAT_SHORT))
    logger.handlers[:] = [handler]
    logger.setLevel(log_level.upper() if isinstance(log_level, str) else log_level)
