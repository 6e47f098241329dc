"""The reduction of a job: a function called once with the list of all values, also on Lambda."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.result.groups import Groups
from lithops_magic.engine.text.units import money
from lithops_magic.engine.wire.function import Function
from lithops_magic.errors import BudgetSpent, JobCancelled
from lithops_magic.packages import Request

if TYPE_CHECKING:
    from lithops_magic.engine.result.map_result import MapResult

_TICK = 0.1
"""Seconds between polls: signals are handled only between waits."""


class Reduction:
    """One more task, started only once every task of a job has succeeded.

    Parameters
    ----------
    name
        The user's name for the function.
    begin
        Given a successful job and lists of values, starts the job that reduces each list.
    groups
        The group of each value; None if they form a single list.
    """

    def __init__(
        self, name: str, begin: Callable[[MapResult, list[list[Any]]], MapResult], groups: Groups | None = None
    ) -> None:
        self.name = name
        self._groups = groups
        self.result: MapResult | None = None
        """The reducing job, once started."""
        self._begin = begin
        self._decided = threading.Event()
        self._cancelled = threading.Event()
        self._error: BaseException | None = None

    @classmethod
    def prepare(
        cls,
        function: Callable[[list[Any]], Any],
        options: MapOptions,
        start: Callable[..., MapResult],
        groups: Groups | None = None,
    ) -> Reduction:
        """Return the reduction by `function` of a job that runs with `options`.

        Parameters
        ----------
        start
            Starts a job, given a function, its items and `options=`.
        groups
            The group of each value, if grouped.

        Raises
        ------
        SerializationError
            The function cannot be pickled; raised now rather than when all values are there.
        """
        # Only to see whether it can be; it is pickled again when it runs, with the notebook as it is then.
        Function.pickle(function, (), Request.parse(options.packages, options.files))
        name = getattr(function, "__name__", "reduce")
        once = replace(
            options,
            chunksize=None,
            workers=None,
            backups=False,
            errors="raise",
            starmap=False,
            callbacks=(),
            reduce_by=None,
            to_s3=None,
            label=name,
        )

        def begin(mapped: MapResult, lists: list[list[Any]]) -> MapResult:
            left = None if options.max_cost is None else options.max_cost - mapped.cost
            if left is not None and left <= 0:
                raise BudgetSpent(f"`{name}` was not called: the values have cost {money(mapped.cost)} already.")
            return start(function, lists, options=replace(once, max_cost=left))

        return cls(name, begin, groups)

    def anew(self) -> Reduction:
        """Return a fresh copy for a retried job."""
        return Reduction(self.name, self._begin, self._groups)

    def follow(self, mapped: MapResult) -> None:
        """Start once `mapped` has succeeded; returns immediately."""
        # A thread, because nobody may be waiting: a background job reduces its values, too.
        threading.Thread(target=self._run, args=(mapped,), name="lithops-magic-reduce", daemon=True).start()

    def cancel(self) -> None:
        """Stop, or never start."""
        self._cancelled.set()
        if self.result is not None:
            self.result.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over or certain never to start; return whether it is."""
        if timeout is None:
            while not self.wait(_TICK):
                pass
            return True
        return self._decided.wait(timeout) and (self.result is None or self.result.wait(timeout))

    @property
    def cost(self) -> float:
        """Cost so far in USD at list price."""
        return 0.0 if self.result is None else self.result.cost

    def value(self) -> Any:
        """Wait for the reduction, and return what the function returned.

        Raises
        ------
        JobCancelled
            It was not started, because not every task succeeded.
        TaskError
            The function failed.
        """
        self.wait()
        if self._error is not None:
            raise self._error
        if self.result is None:
            raise JobCancelled(f"`{self.name}` was not called: it reduces the values once every task has succeeded.")
        self.result.raise_errors()
        return self.result[0] if self._groups is None else self._groups.named(self.result.values())

    def _run(self, mapped: MapResult) -> None:
        try:
            mapped.wait()
            snapshot = mapped.snapshot()
            if snapshot.state == "finished" and not snapshot.failed and not self._cancelled.is_set():
                values = mapped.values()
                self.result = self._begin(mapped, [values] if self._groups is None else self._groups.lists(values))
                self.result._called = "error.result"
                # Cancelled while starting.
                if self._cancelled.is_set():
                    self.result.cancel()
        except BaseException as error:  # values have methods of the user's own
            self._error = error
        finally:
            self._decided.set()
