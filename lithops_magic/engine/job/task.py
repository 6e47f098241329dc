"""One item on its way, and the future of what becomes of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # With a default, which Python has from 3.13 on: `MapResult` alone is one of anything.
    from typing_extensions import TypeVar

    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")


class Task:
    """One item on its way; dropped once the task has ended."""

    __slots__ = ("alone", "flights", "fragment", "index", "item", "kind", "lost", "settled")

    def __init__(self, index: int, item: Any) -> None:
        self.index = index
        self.item = item
        self.kind: Hashable = None
        """Only tasks of one kind share an invocation: they are expected to take about as long."""
        self.fragment = b""
        """The task as it stands in the request."""
        self.alone = False
        """Whether it must have an invocation to itself, because one it shared was lost as a whole."""
        self.lost = 0
        """Attempts charged to it."""
        self.flights = 0
        """Invocations in flight that have it: two with a backup copy."""
        self.settled = False
        """Whether it has its value or its error."""


class SafeFuture(Future[R]):
    """A future whose callbacks may raise anything: they run in the thread that all of a job's answers go through."""

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call `fn` with this future once it is done; whatever it raises is logged, and nothing else."""
        super().add_done_callback(partial(_call_back, fn))


class TaskFuture(SafeFuture[R]):
    """A task's value, error or `JobCancelled`; `index` is the task's position in the input."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index
        # A single task cannot be taken back once the job has it: cancel() must answer False.
        self.set_running_or_notify_cancel()


def _call_back(fn: Callable[[Future[Any]], object], future: Future[Any]) -> None:
    try:
        fn(future)
    except Exception:
        raise  # which a future logs
    except BaseException:  # and this would end that thread
        logging.getLogger("concurrent.futures").exception("exception calling callback for %r", future)


class Futures:
    """The futures of a job's tasks, made when they are asked for. May be used from any thread.

    Parameters
    ----------
    outcome
        Returns a task's error and value; None while it has neither and may still get one.
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
        """Give the futures of these tasks what the tasks have; None for all. Not to be called with a lock held."""
        if not self._made:
            return
        with self._lock:
            known = self._made
            futures = list(known.values()) if indices is None else [known[index] for index in indices if index in known]
        for future in futures:
            self._resolve(future)

    def _resolve(self, future: TaskFuture[Any]) -> None:
        """Give a future what its task has; outside of all locks, because it runs the user's callbacks."""
        outcome = self._outcome(future.index)
        if outcome is None or future.done():
            return
        error, value = outcome
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
