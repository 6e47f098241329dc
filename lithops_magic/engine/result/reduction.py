"""The end of a job that is reduced: a function called once, on Lambda as well, with the list of all values."""

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
"""Seconds between two looks: a signal is only handled between waits."""


class Reduction:
    """One more task, begun when every task of a job has succeeded and never otherwise.

    Parameters
    ----------
    name
        What the user calls the function.
    begin
        Given the job that has ended well and lists of values, starts the one that reduces each of these.
    groups
        To which group each value belongs; None: they are one list.
    """

    def __init__(
        self, name: str, begin: Callable[[MapResult, list[list[Any]]], MapResult], groups: Groups | None = None
    ) -> None:
        self.name = name
        self._groups = groups
        self.result: MapResult | None = None
        """The job that reduces, once it has begun."""
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
        """Return the reduction with `function` of a job that is run with `options`.

        Parameters
        ----------
        start
            Starts a job, given a function, its items and `options=`.
        groups
            To which group each value belongs, if there are any.

        Raises
        ------
        SerializationError
            The function cannot be pickled: told now, not when all values are there.
        """
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
        """Return a fresh copy, for a job that is retried."""
        return Reduction(self.name, self._begin, self._groups)

    def follow(self, mapped: MapResult) -> None:
        """Begin when `mapped` has ended well; returns at once."""
        threading.Thread(target=self._run, args=(mapped,), name="lithops-magic-reduce", daemon=True).start()

    def cancel(self) -> None:
        """Do not begin, or stop."""
        self._cancelled.set()
        if self.result is not None:
            self.result.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over or certain never to begin; return whether it is."""
        if timeout is None:
            while not self.wait(_TICK):
                pass
            return True
        return self._decided.wait(timeout) and (self.result is None or self.result.wait(timeout))

    @property
    def cost(self) -> float:
        """USD at list price so far."""
        return 0.0 if self.result is None else self.result.cost

    def value(self) -> Any:
        """Wait for it and return what the function returned.

        Raises
        ------
        JobCancelled
            It was not begun, because not every task succeeded.
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
                # Stopped while it was begun.
                if self._cancelled.is_set():
                    self.result.cancel()
        except BaseException as error:  # values have methods of the user's own
            self._error = error
        finally:
            self._decided.set()
