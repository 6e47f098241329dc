"""Items and values that are too large for an invocation, on their way to and from S3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lithops_magic.engine.dispatch import verdicts
from lithops_magic.engine.dispatch.lanes import Lane
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.function import Function, Requests
from lithops_magic.engine.wire.item import spilled_fragment
from lithops_magic.engine.wire.reply import Outcome
from lithops_magic.engine.wire.store import Place, Transfers
from lithops_magic.errors import LithopsMagicError, ResultError


@dataclass(frozen=True, slots=True)
class Fetched:
    """A value came from S3, or did not."""

    lane: Lane
    task: Task
    verdict: verdicts.Verdict


@dataclass(frozen=True, slots=True)
class Uploaded:
    """An item is in S3, or is not."""

    lane: Lane
    task: Task
    fragment: bytes | LithopsMagicError


class Parcels:
    """Moves the large items and values of a job.

    Parameters
    ----------
    function
        What runs on the items; it may have to be brought to S3 once more.
    deliver
        Called from other threads with what arrived.
    """

    def __init__(self, function: Function, deliver: Callable[[Fetched | Uploaded], None]) -> None:
        self.function = function
        """May be replaced: what is brought once more is what runs now."""
        self._transfers = Transfers(deliver)
        self.place: Callable[[], Place | None] = lambda: None
        """Returns the job's place in S3, if it has one."""

    @property
    def pending(self) -> int:
        """Those on their way."""
        return self._transfers.pending

    def close(self) -> None:
        """Move nothing more."""
        self._transfers.close()

    def fetch(self, lane: Lane, task: Task, outcome: Outcome) -> None:
        """Bring a value."""
        place = self.place()
        assert place is not None
        # Until it is here, no copy of the task may be given up or sent again.
        task.flights += 1
        self._transfers.start(lambda: Fetched(lane, task, _fetched(place, outcome, task)))

    def upload(self, lane: Lane, task: Task, requests: Requests, *, recheck: bool = False) -> None:
        """Bring an item to S3; `again` because a sandbox did not find it, or the function, there."""
        place = self.place()
        assert place is not None

        def work() -> Uploaded:
            try:
                if recheck:
                    self.function.place(place, recheck=True)
                return Uploaded(
                    lane, task, spilled_fragment(task.index, task.item, requests.room, place, recheck=recheck)
                )
            except LithopsMagicError as error:
                return Uploaded(lane, task, error)
            except BaseException as error:  # the user's own methods may raise anything, and somebody waits
                return Uploaded(lane, task, LithopsMagicError(f"it could not be sent: {error!r}"))

        self._transfers.start(work)

    def received(self, message: Fetched | Uploaded) -> None:
        """Count down: its message was received."""
        self._transfers.pending -= 1
        if isinstance(message, Fetched):
            message.task.flights -= 1


def _fetched(place: Place, outcome: Outcome, task: Task) -> verdicts.Verdict:
    try:
        return verdicts.fetch(place, outcome, task)
    except BaseException as error:  # the user's own methods may raise anything, and somebody waits
        text = f"its result could not be fetched from S3: {error!r}"
        return verdicts.Lost(verdicts.make(ResultError, task, text))
