"""What happens to a job, and a progress bar, for `callbacks=` of `map`.

A callback is called with each event and a snapshot of the job as it was then. It runs in a thread of its own; one that
raises is not called again, and the job continues:

    def show(event, snapshot):
        if isinstance(event, lithops_magic.callbacks.Failed):
            print(event.task, event.error)

    lithops_magic.map(f, items, callbacks=show)
"""

from __future__ import annotations

from lithops_magic.engine.job.events import (
    Answered,
    BackedUp,
    Broken,
    Cancelled,
    Charge,
    Counted,
    Ended,
    Event,
    Failed,
    InFlight,
    Invoked,
    Noted,
    Phase,
    Recalled,
    Retried,
    Returned,
    Started,
    Submitted,
    Throttled,
    Withdrawn,
)
from lithops_magic.engine.job.progress_bar import Tqdm
from lithops_magic.engine.job.snapshot import Snapshot

__all__ = [
    "Answered",
    "BackedUp",
    "Broken",
    "Cancelled",
    "Charge",
    "Counted",
    "Ended",
    "Event",
    "Failed",
    "InFlight",
    "Invoked",
    "Noted",
    "Phase",
    "Recalled",
    "Retried",
    "Returned",
    "Snapshot",
    "Started",
    "Submitted",
    "Throttled",
    "Tqdm",
    "Withdrawn",
]
