"""Picks up a job that another process started: results so far, results still to come and, on request, the rest."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lithops_magic import data, user_code
from lithops_magic.aws.invoke.outcomes import Ambiguous
from lithops_magic.config.settings import CREDENTIALS
from lithops_magic.engine import handover
from lithops_magic.engine.backend import detached, live_logs
from lithops_magic.engine.backend.aws_lambda import LambdaBackend
from lithops_magic.engine.backend.endpoint import Endpoint
from lithops_magic.engine.backend.replay import AwaitedRequest, Replay, ReplayBackend
from lithops_magic.engine.dispatch.items import Source
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.durable import journal, kept_results, private, records, sources
from lithops_magic.engine.durable.folder import JobFolder
from lithops_magic.engine.durable.follow import follow
from lithops_magic.engine.durable.history import JobHistory
from lithops_magic.engine.durable.null_journal import NullJournal
from lithops_magic.engine.durable.recipe import Recipe
from lithops_magic.engine.job.events import Noted
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.launch import rerun
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.engine.text.units import plural
from lithops_magic.engine.wire.container import Container
from lithops_magic.engine.wire.function import Function
from lithops_magic.errors import JobInterrupted, LithopsMagicError
from lithops_magic.worker import packing

if TYPE_CHECKING:
    from lithops_magic.config import Settings


def attach(
    job_id: str, *, resume: bool = False, env: Mapping[str, str] | None = None, settings: Settings | None = None
) -> MapResult:
    """Return the result of a job that another process started, or this one.

    Finished tasks are available immediately. While another process still runs the job, its results arrive as they are
    recorded; if no process runs it, invocations still in flight deliver a result only if they take long enough to keep
    it in S3. A detached job simply continues.

    Parameters
    ----------
    job_id
        ``MapResult.job_id`` or a prefix of it; ``lithops_magic.jobs()`` lists the known jobs.
    resume
        Run the remaining tasks of a job whose process has ended; by default the job is only observed.
    env
        Values of the job's environment variables, which are never recorded. Values that the configuration or this
        process's own environment provides can be omitted.
    settings
        Whose credentials are used; defaults to what the configuration says.

    Raises
    ------
    UnknownJob
        This machine has no readable record of such a job.
    JobInterrupted
        It cannot be resumed: another process runs it, it was started by a different Python, or a value is missing.
    """
    # A copy, because other threads start jobs.
    here = [job for each, job in list(journal.running.items()) if job_id and each.startswith(job_id)]
    # This process's own job needs no journal, unless the rest of an interrupted one is to be run.
    if len(here) == 1 and not (resume and here[0].over):
        return MapResult(here[0])
    folder = JobFolder.find(job_id)
    manifest = folder.manifest()
    recipe = Recipe.from_plain(manifest["recipe"], _read(folder.function), _read(folder.sources))
    if resume:
        # Also takes the job's lock, which is kept for as long as this process runs the job.
        _check(folder, manifest, recipe)
    elif manifest["detached"]:
        # Only one process may record the results of a detached job; others can watch.
        folder.lock()
    try:
        return _Attached(folder, manifest, _revived(recipe, manifest, resume, env or {}, settings), resume).start()
    # Otherwise nobody could resume the job until this kernel ends.
    except BaseException:
        folder.unlock()
        raise


def _read(file: Path) -> bytes:
    """Return the job's function or its files; empty if the file is lost."""
    try:
        return private.read(file)
    except OSError:
        return b""


_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def _check(folder: JobFolder, manifest: Mapping[str, Any], recipe: Recipe) -> None:
    if manifest["python"] != _PYTHON:
        raise JobInterrupted(
            f"Job {manifest['id']} was started with Python {manifest['python']} and cannot be resumed with {_PYTHON}: "
            f"its function was pickled for that version. Resume it from a Python {manifest['python']}, or attach "
            "without resume for its results."
        )
    if recipe.lost:
        raise JobInterrupted(f"Job {manifest['id']} cannot be resumed: {folder.path / recipe.lost[0]} is damaged.")
    if not folder.lock():
        raise JobInterrupted(
            f"Job {manifest['id']} is still running on this machine, in another process or until its invocations in "
            "flight return: stop that first."
        )


def _revived(
    recipe: Recipe, manifest: Mapping[str, Any], resume: bool, env: Mapping[str, str], settings: Settings | None
) -> Recipe:
    """Return the recipe completed with what is never written to disk: credentials and environment variables."""
    from lithops_magic import config

    now = settings or config.load()
    credentials = {name: getattr(now, name) for name in CREDENTIALS}
    recipe = replace(recipe, settings=recipe.settings.replace(**credentials))
    try:
        return recipe.with_environment((env, now.env_vars, os.environ), bytes.fromhex(manifest["key"]))
    except LookupError as missing:
        if not resume:
            return recipe
        problem = (
            f"Job {manifest['id']} cannot be resumed without the values that its environment variables had, which are "
            f"not written down: set {missing} in os.environ, or give them to attach(…, resume=True, env={{…}})."
        )
    raise JobInterrupted(problem)


def _unpacked(function: Function) -> Callable[[Any], Any] | None:
    """Return the function itself; None if this process cannot unpickle it, although its tasks can still run."""
    try:
        unpacked: Callable[[Any], Any] = packing.loads(function.container.whole)
    except Exception:
        return None
    return unpacked


class _Attached:
    """Another process's job while this process picks it up."""

    def __init__(self, folder: JobFolder, manifest: Mapping[str, Any], recipe: Recipe, resume: bool) -> None:
        self._folder = folder
        self._journal = NullJournal()
        self._recipe = recipe
        self._resume = resume
        self._detached: bool = manifest["detached"]
        self._start: str = manifest["start"]
        self._python: str = manifest["python"]
        self._restarted = False
        options = recipe.options
        if options.to_s3:
            data.connect(options.to_s3, recipe.settings)
        self._once = options.retries == 0
        live = not folder.owned and folder.locked
        journal_so_far = records.read(folder.journal)
        self._read = journal_so_far.end
        self._history = JobHistory.of(journal_so_far, once=self._once, live=live)
        if self._history.total is None:
            self._history.total = manifest["total"]
        # As they were sent: alone if none may run twice (`Scheduler`), or if the job is detached (`handover`).
        chunksize = 1 if self._once or options.detach else options.chunksize
        # An observer spends nothing, so a limit that the job has reached must not end it here.
        changes: dict[str, Any] = {} if resume else {"max_cost": None, "retry_memory": None}
        if self._detached and not resume:
            changes["retries"] = 0
        changes["detach"] = self._detached and not resume
        options = replace(options, chunksize=chunksize, backups=False, **changes)
        names: Mapping[str, str] = manifest["names"]
        sources.remember(manifest.get("sources", {}))
        function = _unpacked(recipe.function)
        self._job = job = Job(
            options, lambda file: names.get(file) or user_code.name(file), self._history.total, function
        )
        job.id, job.key = manifest["id"], bytes.fromhex(manifest["key"])
        job.began = min(manifest["created"], time.time())
        job.follow = partial(live_logs.follow, job, recipe.settings)
        if function is not None and recipe.complete:
            job.start_rerun = partial(rerun, function, recipe.settings)

    def start(self) -> MapResult:
        """Replay the journal and continue from there."""
        recipe, job = self._recipe, self._job
        runs = detached.runs(recipe.options) if self._detached else 0
        backend = ReplayBackend(job, self._history, self._open, self._rest, self._why_left(), self._seconds, runs)
        source = Source(self._history.items(self._why_incomplete))
        # If nothing will be sent, there is no need to upload a large function to S3.
        function = recipe.function if self._resume else replace(recipe.function, container=Container(b""))
        if self._folder.owned:
            self._journal = journal.Journal(job, recipe, self._folder)
        if self._history.damaged:
            job.publish(Noted(f"{self._damaged()} of this job's journal cannot be read and were skipped"))
        Scheduler(job, function, source, backend, recipe.settings.worker_processes, self._journal).start()
        handover.stopping(job, backend.stop)
        if self._history.live:
            follow(self._folder, self._history, self._read, backend.on_news)
        return MapResult(job)

    def _damaged(self) -> str:
        return plural(self._history.damaged, "record")

    def _why_incomplete(self, first: int) -> str:
        """Explain why only the first `first` items are known."""
        if self._folder.state().full:
            why = f"it reached its {journal.LIMIT // 1_000_000} MB."
        elif self._history.damaged:
            why = f"{self._damaged()} of it cannot be read."
        else:
            why = "its process ended before it had written the rest, or before its iterator was exhausted."
        return f"The journal of job {self._job.id} has only its first {first:,} items: {why}"

    def _seconds(self) -> float:
        """How long results of sent tasks may still arrive: no invocation outlives the function's timeout.

        If tasks may run twice, waiting much longer than the longest task so far is not worth it.
        """
        if self._restarted:
            self._job.publish(Noted("the local AWS has been restarted since: what it had not run by then is lost"))
            return 0.0
        if self._detached:
            # The clock may have been set back in the meantime.
            return min(self._job.began, time.time()) + kept_results.EVENT_AGE - time.time()
        patience = self._recipe.settings.timeout + kept_results.MARGIN
        if self._history.longest and not self._once:
            patience = min(patience, max(3 * self._history.longest, self._job.options.keep_after))
        return self._folder.seen + patience - time.time()

    def _open(self, notify: Callable[[str], None]) -> Endpoint:
        recipe = self._recipe
        backend = LambdaBackend(
            recipe.settings, recipe.options.workers, recipe.function.need, tasks=self._history.total
        )
        endpoint = backend.connect(notify, afresh=False) if self._resume else self._look(backend, notify)
        self._restarted = endpoint.store is not None and self._start not in ("", endpoint.store.start)
        return endpoint

    def _look(self, backend: LambdaBackend, notify: Callable[[str], None]) -> Endpoint:
        """Connect to S3 if it may hold results; if it is unreachable, the journal's results are shown anyway."""
        history = self._history
        try:
            return backend.view(notify, connected=bool(history.flying) or history.spilled or history.live)
        except LithopsMagicError as error:
            if self._detached or history.spilled or history.live:
                raise
            self._job.publish(Noted(f"results in S3 cannot be read: {error}"))
            return backend.view(notify, connected=False)

    def _rest(self, replay: Replay, request: AwaitedRequest, why: str) -> None:
        """Handle a task for which neither the journal nor S3 has, or will have, an outcome."""
        if self._detached and not self._resume:
            detached.rest(replay, request, why)
        elif not self._resume:
            replay.leave(request.done)
        elif why and self._once:
            request.done(Ambiguous(why))
        elif not self._history.itemless.isdisjoint(request.tasks):
            request.done(Ambiguous("its item's record in the job's journal is damaged"))
        else:
            self._journal.invoked(request.tasks)
            request.sender.send(request.payload, request.done)

    def _why_left(self) -> str:
        where = "" if self._python == _PYTHON else f" in a Python {self._python}"
        rest = f"lithops_magic.attach({self._job.id!r}, resume=True){where} runs the rest"
        return f"the process that started it has ended; {rest}"
