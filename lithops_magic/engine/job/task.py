"""An item in progress, and the future of its outcome."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # For its `default`, which Python has from 3.13 on: a bare `MapResult` then means `MapResult[Any]`.
    from typing_extensions import TypeVar

    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")


class Task:
    """An item in progress; dropped once the task has ended."""

    __slots__ = ("alone", "flights", "fragment", "index", "item", "kind", "lost", "settled")

    def __init__(self, index: int, item: Any) -> None:
        self.index = index
        self.item = item
        self.kind: Hashable = None
        """Only tasks of the same kind share an invocation: they are expected to take about equally long."""
        self.fragment = b""
        """The task as encoded in a request."""
        self.alone = False
        """Whether it must be sent alone, because an invocation it shared was lost as a whole."""
        self.lost = 0
        """Attempts charged to it."""
        self.flights = 0
        """Invocations in flight that include it: two with a backup copy."""
        self.settled = False
        """Whether it has its value or its error."""


class SafeFuture(Future[R]):
    """A future whose callbacks may raise anything: they run in the thread that handles all of a job's replies."""

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call `fn` with this future once it is done; an exception it raises is only logged."""
        super().add_done_callback(partial(_call_back, fn))


class TaskFuture(SafeFuture[R]):
    """A task's value, error or `JobCancelled`; `index` is the task's position in the input."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index
        # A single task cannot be withdrawn once the job has it, so cancel() must return False.
        self.set_running_or_notify_cancel()


def _call_back(fn: Callable[[Future[Any]], object], future: Future[Any]) -> None:
    try:
        fn(future)
    except Exception:
        raise  # the future logs it
    except BaseException:  # which would end that thread
        logging.getLogger("concurrent.futures").exception("exception calling callback for %r", future)


class Futures:
    """The futures of a job's tasks, created on demand. Thread-safe.

    Parameters
    ----------
    outcome
        Returns a task's error and value; None while it has neither but may still get one.
    """

    def __init__(self, outcome: Callable[[int], tuple[BaseException | None, Any] | None]) -> None:
        self._outcome = outcome
        self._lock = threading.Lock()
        self._made: dict[int, TaskFuture[Any]] = {}

    def of(self, index: int) -> TaskFuture[Any]:
        """Return a task's future."""
        with self._lock:
            future = self._made.get(index)
            if future is None:
                future = self._made[index] = TaskFuture(index)
        self._resolve(future)
        return future

    def settle(self, indices: Iterable[int] | None = None) -> None:
        """Resolve the futures of these tasks (None: all) that have an outcome. Never call this with a lock held."""
        if not self._made:
            return
        with self._lock:
            known = self._made
            futures = list(known.values()) if indices is None else [known[index] for index in indices if index in known]
        for future in futures:
            self._resolve(future)

    def _resolve(self, future: TaskFuture[Any]) -> None:
        """Resolve a future; outside all locks, because that runs the user's callbacks."""
        outcome = self._outcome(future.index)
        if outcome is None or future.done():
            return
        error, value = outcome
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
