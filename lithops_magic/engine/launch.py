"""What starting any job, new or rerun, has in common: pickle the function, set up its storage, start its scheduler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lithops_magic import data
from lithops_magic.engine import handover
from lithops_magic.engine.backend import live_logs
from lithops_magic.engine.backend.aws_lambda import LambdaBackend
from lithops_magic.engine.cache.impure import UNSEEN
from lithops_magic.engine.cache.keys import Keys
from lithops_magic.engine.cache.meaning import Undetermined
from lithops_magic.engine.dispatch.items import Items, Source
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.durable.journal import Journal
from lithops_magic.engine.durable.recipe import Recipe
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.result import script
from lithops_magic.engine.wire.function import Function, Setup
from lithops_magic.packages import Request

if TYPE_CHECKING:
    from lithops_magic.config import Settings


def launch(
    job: Job,
    function: Callable[[Any], Any],
    items: Items,
    settings: Settings,
    options: MapOptions,
    *,
    waits: bool = False,
) -> Job:
    """Start a job; `function` and `items` are what its tasks need, even if some tasks are done already."""
    setup = Setup(
        env=dict(options.env), processes=settings.worker_processes, locals=options.locals, starmap=options.starmap
    )
    owned = () if items.owned is None else items.owned
    mapped = data.storing(function, options.to_s3, settings) if options.to_s3 else function
    packed = Function.pickle(mapped, owned, Request.parse(options.packages, options.files), setup)
    # With the settings as they were given: a rerun applies its own options to them.
    job.start_rerun = partial(rerun, function, settings)
    settings = options.applied_to(settings)
    job.follow = partial(live_logs.follow, job, settings)
    backend = LambdaBackend(settings, options.workers, packed.need, tasks=items.total)
    for warning in (*settings.unread, *packed.warnings):
        job.publish(ev.Noted(warning))
    if options.detach:
        if options.cache:
            job.publish(ev.Noted("cache: not used by a detached job"))
        handover.start(job, packed, items, settings, options)
        return job
    # A journal numbers the items from 0, and a rerun has only some of them.
    journal = Journal(job, Recipe.of(settings, options, packed, job.key)) if job.whole else None
    keys = _keys(job, packed, settings, options) if options.cache else None
    source = Source(items, waits=waits, name=keys.of_item if keys else None)
    job.serve = source.serve
    Scheduler(job, packed, source, backend, settings.worker_processes, journal, keys).start()
    script.look_after(job)
    return job


def _keys(job: Job, packed: Function, settings: Settings, options: MapOptions) -> Keys | None:
    """Return the cache keys of a job; None, with a note, if its values cannot be identified."""
    try:
        keys = Keys(
            packed.function, settings, options, packed.need.sources, lambda problem: job.publish(ev.Noted(problem))
        )
    except Undetermined as error:
        job.publish(ev.Noted(f"cache: not used, because the function cannot be compared with earlier ones: {error}"))
        return None
    if keys.impure:
        job.publish(ev.Noted(f"cache: {UNSEEN.format(' and '.join(keys.impure))}"))
    return keys


def rerun(
    function: Callable[[Any], Any], settings: Settings, job: Job, indices: Sequence[int], options: MapOptions
) -> Job:
    """Rerun tasks of a job that has ended; the job returned already has the other tasks' values."""
    items = Items([job.item(index) for index in indices])
    # The user waits for a retry, even if the first run was detached.
    options = replace(options, detach=False)
    return launch(job.rerun(indices, options), function, items, settings, options)
