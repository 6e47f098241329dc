"""The interface through which a scheduler writes a journal, implemented for jobs that cannot be resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lithops_magic.aws.invoke.outcomes import Outcome
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.store import Place


class NullJournal:
    """A journal that records nothing, for a job that no other process can continue."""

    def start(self, place: Place | None, oldest: Callable[[], float | None] = lambda: None) -> None:
        """Start."""

    def taken(self, task: Task) -> None:
        """Record an item."""

    def counted(self) -> None:
        """Record that there are no more items."""

    def sent(self, tasks: Sequence[Task]) -> None:
        """Record an invocation."""

    def invoked(self, tasks: Sequence[int]) -> None:
        """Record an invocation of these tasks."""

    def answered(self, tasks: Sequence[Task], outcome: Outcome) -> None:
        """Record the outcome of an invocation."""

    def changed(self, function: Function) -> None:
        """Record that the function has gained packages."""

    def close(self) -> None:
        """The job is over."""
