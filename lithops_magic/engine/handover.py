"""Hands an entire job over to Lambda: checks its options, and starts it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lithops_magic.engine.backend.aws_lambda import LambdaBackend
from lithops_magic.engine.backend.detached import DetachedBackend
from lithops_magic.engine.dispatch.item_needs import ItemNeeds
from lithops_magic.engine.dispatch.items import Items, Source
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.durable.journal import Journal
from lithops_magic.engine.durable.recipe import Recipe
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.item import Prepared, prepare
from lithops_magic.errors import MisuseError, SerializationError

if TYPE_CHECKING:
    from lithops_magic.config import Settings

ITEMS = 100_000
"""Maximum items of a detached job: all are sent at once, and every poll for results lists them."""
TICK = 0.02
"""Seconds between looks at whether AWS has accepted everything."""


def all_items(items: Iterable[Any]) -> list[Any]:
    """Take all items of a detached job in their current state.

    Raises
    ------
    MisuseError
        There are too many, possibly infinitely many.
    """
    taken = Items(items)
    found = [_prepared(item) for item in itertools.islice(taken.iterator, ITEMS + 1)]
    if len(found) > ITEMS:
        raise MisuseError(
            f"detach: there are more than {ITEMS:,} items, which would all be sent at once; nothing was sent. "
            "Give each task more to do, or run it without detach."
        )
    return found


def _prepared(item: Any) -> Any:
    try:
        return prepare(item)
    except SerializationError:  # reported when it is that item's turn
        return item


def check(options: MapOptions, *, reduced: bool) -> None:
    """Reject options that a detached job does not support.

    Raises
    ------
    MisuseError
        One is set.
    """
    unfit = [name for name in ("max_cost", "retry_memory", "backups") if getattr(options, name)]
    for name in [*unfit, *(["reduce"] if reduced else [])]:
        raise MisuseError(
            f"detach: a detached job cannot have {name}, because nothing supervises it while it runs. "
            f"Leave out detach or {name}."
        )


def scheduled(options: MapOptions) -> MapOptions:
    """Return the options for the scheduler: Lambda does the retries, and each task is sent alone."""
    # To the scheduler, a detached job is one whose tasks have been sent and are only awaited.
    return replace(options, retries=0, retry_errors=False, chunksize=1)


def handed_over(result: MapResult) -> MapResult:
    """Wait until Lambda has accepted all tasks.

    Raises
    ------
    LithopsMagicError
        Lambda does not accept them.
    """
    try:
        while result.snapshot().state == "preparing":
            # Polled, so that an interrupt is noticed; handing over takes seconds.
            time.sleep(TICK)
    except BaseException:
        result.cancel()
        raise
    if result.error is not None:
        raise result.error
    return result


def start(job: Job, function: Function, items: Items, settings: Settings, options: MapOptions) -> None:
    """Start a job that runs without this process."""
    assert items.owned is not None
    item_needs = ItemNeeds(function.need)
    for item in items.owned:
        if isinstance(item, Prepared) and item.reach is not None:
            item_needs.grows(item.reach)
    function = function.needing(item_needs.need)
    journal = Journal(job, Recipe.of(settings, options, function, job.key))
    events = LambdaBackend(settings, options.workers, function.need, tasks=len(items.owned), asynchronous=True)
    backend = DetachedBackend(job, function, items.owned, journal, options, events)
    Scheduler(job, function, Source(items), backend, settings.worker_processes, journal).start()
    stopping(job, backend.stop)


def stopping(job: Job, stop: Callable[[], None]) -> None:
    """Have the job's cancellation also call `stop`, in a thread of its own; call this once there is a scheduler.

    The scheduler sets what a cancellation does, and this adds to it.
    """
    send_nothing = job.on_cancel

    def cancel() -> None:
        send_nothing()
        # It writes to S3, and the interrupt button must return at once.
        threading.Thread(target=stop, name="lithops-magic-cancel", daemon=True).start()

    job.on_cancel = cancel
