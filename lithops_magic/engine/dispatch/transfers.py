"""Transfers to and from S3 of items and values too large for an invocation.

Transfers are started and counted by the job's thread and run in the threads of `wire.store.Transfers`. Each delivers
exactly one message, whatever the user's own methods raise: the job ends only when `pending` is 0 again.
"""

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
    """A value was downloaded from S3, or could not be."""

    lane: Lane
    task: Task
    verdict: verdicts.Verdict


@dataclass(frozen=True, slots=True)
class Uploaded:
    """An item was uploaded to S3, or could not be."""

    lane: Lane
    task: Task
    fragment: bytes | LithopsMagicError


class JobTransfers:
    """Transfers a job's large items and values.

    Parameters
    ----------
    function
        The function that runs on the items, which may have to be uploaded again.
    deliver
        Called from other threads with each finished transfer.
    """

    def __init__(self, function: Function, deliver: Callable[[Fetched | Uploaded], None]) -> None:
        self.function = function
        """Replaceable: what is uploaded again must be what runs now."""
        self._transfers = Transfers(deliver)
        self.place: Callable[[], Place | None] = lambda: None
        """Returns the job's place in S3, if it has one."""

    @property
    def pending(self) -> int:
        """Transfers in progress."""
        return self._transfers.pending

    def close(self) -> None:
        """Start no more transfers."""
        self._transfers.close()

    def fetch(self, lane: Lane, task: Task, outcome: Outcome) -> None:
        """Download a value."""
        place = self.place()
        assert place is not None
        # Until the value is here, no copy of the task may be given up or sent again.
        task.flights += 1
        self._transfers.start(lambda: Fetched(lane, task, _fetched(place, outcome, task)))

    def upload(self, lane: Lane, task: Task, requests: Requests, *, recheck: bool = False) -> None:
        """Upload an item to S3; `recheck`: a sandbox did not find it, or the function, there."""
        place = self.place()
        assert place is not None
        self._transfers.start(lambda: Uploaded(lane, task, self._uploaded(place, task, requests.room, recheck=recheck)))

    def _uploaded(self, place: Place, task: Task, room: int, *, recheck: bool) -> bytes | LithopsMagicError:
        """Return an item's fragment once it is uploaded, or why it is not; called from other threads."""
        try:
            if recheck:
                self.function.place(place, recheck=True)
            return spilled_fragment(task.index, task.item, room, place, recheck=recheck)
        except LithopsMagicError as error:
            return error
        except BaseException as error:  # the user's own methods may raise anything, and the job waits for a message
            return LithopsMagicError(f"it could not be sent: {error!r}")

    def received(self, message: Fetched | Uploaded) -> None:
        """Count down: the transfer's message was received."""
        # Counted down here and not when the transfer ends: in between, its task is in no other place, and the job must
        # not end.
        self._transfers.pending -= 1
        if isinstance(message, Fetched):
            message.task.flights -= 1


def _fetched(place: Place, outcome: Outcome, task: Task) -> verdicts.Verdict:
    try:
        return verdicts.fetch(place, outcome, task)
    except BaseException as error:  # the user's own methods may raise anything, and the job waits for a message
        text = f"its result could not be fetched from S3: {error!r}"
        return verdicts.Lost(verdicts.make(ResultError, task, text))
