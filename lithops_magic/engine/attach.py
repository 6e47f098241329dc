"""Goes on with a job of another process: what it came to, what still comes, and if that is asked for the rest."""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from lithops_magic.aws.invoke.outcomes import Ambiguous, Done
from lithops_magic.engine import handover
from lithops_magic.engine.api import again
from lithops_magic.engine.backend import detached
from lithops_magic.engine.backend.aws_lambda import Endpoint, LambdaBackend
from lithops_magic.engine.backend.replay import Replay, ReplayBackend
from lithops_magic.engine.dispatch.items import Source
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.durable import journal, kept_results, records
from lithops_magic.engine.durable.folder import JobFolder
from lithops_magic.engine.durable.history import Recall
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.engine.wire.function import Function
from lithops_magic.errors import JobInterrupted
from lithops_magic.worker import packing

if TYPE_CHECKING:
    from lithops_magic.config import Settings


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job that this machine knows."""

    id: str
    label: str
    started: datetime
    total: int | None
    """None while the items come from an iterator that has not ended."""
    done: int
    failed: int
    state: Literal["running", "detached", "interrupted", "finished", "cancelled", "broken"]
    """``running``: by a process of this machine; ``detached``: without one, as far as is known;
    ``interrupted``: its process ended before it did."""


def jobs() -> list[JobRecord]:
    """Return the jobs that this machine knows, the latest first.

    A job is known from its third second on, or from its start if it is detached, for seven days.
    """
    return [_listed(folder) for folder in JobFolder.all()]


def attach(job_id: str, *, resume: bool = False, settings: Settings | None = None) -> MapResult:
    """Return the result of a job that another process began, or this one.

    What had finished is there at once; what still runs in Lambda arrives if it took long enough to be kept in S3.
    A detached job simply goes on.

    Parameters
    ----------
    job_id
        ``MapResult.job_id``; ``lithops_magic.jobs()`` lists those that are known.
    resume
        Run the rest of a job whose process has ended; by default it is only looked at.
    settings
        Whose credentials are used; defaults to what the configuration says.

    Raises
    ------
    UnknownJob
        This machine knows no such job.
    JobInterrupted
        It cannot be resumed: another process runs it, or this Python is not the one that began it.
    """
    if (job := journal.running.get(job_id)) is not None and not (resume and job.over):
        return MapResult(job)
    folder = JobFolder.find(job_id)
    manifest = folder.manifest()
    if resume:
        _check(folder, manifest)
    elif manifest["detached"]:
        # Whoever looks after it writes down what came; several may look.
        folder.lock()
    recipe: journal.Recipe = pickle.loads(folder.recipe.read_bytes())
    return _Attached(folder, manifest, _with_credentials(recipe, settings), resume).start()


def _listed(folder: JobFolder) -> JobRecord:
    manifest, state = folder.manifest(), folder.state()
    open_ended = state.state in ("running", "preparing")
    if open_ended:
        name = "running" if folder.locked else "detached" if manifest["detached"] else "interrupted"
    else:
        name = state.state
    started = datetime.fromtimestamp(manifest["created"], UTC)
    return JobRecord(manifest["id"], manifest["label"], started, state.total, state.done, state.failed, name)  # type: ignore[arg-type]


def _check(folder: JobFolder, manifest: Mapping[str, Any]) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if manifest["python"] != here:
        raise JobInterrupted(
            f"Job {manifest['id']} was begun with Python {manifest['python']} and cannot be resumed with {here}: "
            "its function was pickled for that version. Use such a kernel."
        )
    if not folder.lock():
        raise JobInterrupted(
            f"Job {manifest['id']} is still run on this machine, by another process or until what is in flight has "
            "arrived: interrupt or end that first."
        )


def _with_credentials(recipe: journal.Recipe, settings: Settings | None) -> journal.Recipe:
    """Return the recipe with the credentials of now: none are ever written down."""
    from lithops_magic import config

    now = settings or config.load()
    names = ("access_key_id", "secret_access_key", "session_token")
    credentials = {name: getattr(now, name) for name in names}
    return replace(recipe, settings=recipe.settings.replace(**credentials))


def _unpacked(function: Function) -> Callable[[Any], Any] | None:
    """Return the function itself; None if this process lacks what it refers to: its tasks can still be run."""
    try:
        unpacked: Callable[[Any], Any] = packing.loads(function.container)
    except Exception:
        return None
    return unpacked


class _Attached:
    """One job on its way back."""

    def __init__(self, folder: JobFolder, manifest: Mapping[str, Any], recipe: journal.Recipe, resume: bool) -> None:
        self._folder = folder
        self._recipe = recipe
        self._resume = resume
        self._busy = not folder.owned and folder.locked
        self._detached: bool = manifest["detached"]
        options = recipe.options
        self._once = options.retries == 0
        self._recall = Recall.of(records.read(folder.records)[0], once=self._once)
        chunksize = 1 if self._once or options.detach else options.chunksize
        changes: dict[str, Any] = {} if resume else {"max_cost": None, "retry_memory": None}
        if self._detached and not resume:
            changes["retries"] = 0
        changes["detach"] = self._detached and not resume
        options = replace(options, chunksize=chunksize, backups=False, **changes)
        names: Mapping[str, str] = manifest["names"]
        function = _unpacked(recipe.function)
        self._job = job = Job(options, lambda name: names.get(name, name), self._recall.total, function)
        job.id, job.key = manifest["id"], bytes.fromhex(manifest["key"])
        job.began = manifest["created"]
        if function is not None:
            job.start_again = partial(again, function, recipe.settings)

    def start(self) -> MapResult:
        """Play the journal back, and go on from there."""
        recipe, job = self._recipe, self._job
        runs = detached.runs(recipe.options) if self._detached else 0
        backend = ReplayBackend(job, self._recall, self._open, self._rest, self._why_left(), self._seconds(), runs)
        missing = f"The journal of job {job.id} has its first {{:,}} items only: {self._why_incomplete()}"
        source = Source(self._recall.items(missing))
        # Where nothing is sent, a large function need not be brought to S3 either.
        function = recipe.function if self._resume else replace(recipe.function, container=b"")
        written = journal.Journal(job, recipe, self._folder) if self._folder.owned else None
        Scheduler(job, function, source, backend, recipe.settings.worker_processes, written).start()
        handover.stopping(job, backend.stop)
        return MapResult(job)

    def _why_incomplete(self) -> str:
        if self._folder.state().full:
            return f"it reached its {journal.LIMIT // 1_000_000} MB."
        return "its process ended before it had written them, or the iterator that gave them was not at its end."

    def _seconds(self) -> float:
        """How long results of tasks that were sent may still come: none lives longer than the function's timeout.

        Where tasks may run twice, it is not worth it to wait much longer than the longest of them took so far.
        """
        if self._detached:
            return self._job.began + kept_results.EVENT_AGE - time.time()
        patience = self._recipe.settings.timeout + kept_results.MARGIN
        if self._recall.longest and not self._once:
            patience = min(patience, max(3 * self._recall.longest, self._job.options.keep_after))
        alive = time.time() if self._busy else self._folder.seen
        return alive + patience - time.time()

    def _open(self, notify: Callable[[str], None]) -> Endpoint:
        backend = LambdaBackend(self._recipe.settings, self._recipe.options.workers, self._recipe.function.need)
        if self._resume:
            return backend.connect(notify, afresh=False)
        return backend.view(notify, connected=bool(self._recall.flying) or self._recall.spilled)

    def _rest(self, replay: Replay, payload: bytes, done: Done, why: str) -> None:
        """A task about which nothing is known, or nothing more will be."""
        if self._detached and not self._resume:
            detached.rest(replay, payload, done, why)
        elif not self._resume:
            replay.leave(done)
        elif why and self._once:
            done(Ambiguous(why))
        else:
            replay.sender.send(payload, done)

    def _why_left(self) -> str:
        what = "is run by another process" if self._busy else "was begun by a process that has ended"
        return f"it {what}; lithops_magic.attach({self._job.id!r}, resume=True) runs the rest"
