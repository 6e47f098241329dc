"""What a scheduler tells a journal, and the journal of a job that no other process can go on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lithops_magic.aws.invoke.outcomes import Outcome
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.store import Place


class Silent:
    """A journal of nothing: that of a job that no other process can go on with."""

    def start(self, place: Place | None, oldest: Callable[[], float | None] = lambda: None) -> None:
        """Begin."""

    def taken(self, task: Task) -> None:
        """Note an item."""

    def counted(self) -> None:
        """Note that no items follow."""

    def sent(self, tasks: Sequence[Task]) -> None:
        """Note an invocation."""

    def invoked(self, tasks: Sequence[int]) -> None:
        """Note an invocation of these tasks."""

    def answered(self, tasks: Sequence[Task], outcome: Outcome) -> None:
        """Note what became of an invocation."""

    def changed(self, function: Function) -> None:
        """Note that the function has gained packages."""

    def close(self) -> None:
        """The job is over."""
