"""Runs one job on the main thread of a notebook: starts, draws, stops, raises."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from lithops_magic.notebook.cell import code_name
from lithops_magic.notebook.progress import Progress, sink

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.config import Settings
    from lithops_magic.engine import MapOptions, MapResult

LAST = "_lambda"
"""The notebook's variable with the latest result, whatever became of it."""


class Stopped(KeyboardInterrupt):
    """The user interrupted a job; the partial result stays bound."""

    def __init__(self, message: str, result: MapResult | None = None) -> None:
        super().__init__(message)
        self.result = result

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that is ready to be started."""

    function: Callable[..., Any]
    items: Iterable[Any]
    options: MapOptions
    settings: Settings
    reduce: Callable[..., Any] | None = None
    out: str | None = None
    """The variable that is bound to the result before the work starts."""
    background: bool = False
    progress: bool = True
    notes: tuple[str, ...] = ()


def preview(job: Job) -> None:
    """Show what `job` would do, without doing it."""
    from lithops_magic.engine.plan import plan
    from lithops_magic.notebook.dryrun import describe
    from lithops_magic.notebook.status import show

    __tracebackhide__ = True
    show(describe(plan(job.function, job.items, options=job.options, settings=job.settings, reduce=job.reduce)))


def run(shell: InteractiveShell, job: Job, started: Callable[[MapResult], None]) -> MapResult:
    """Start `job`, bind its result, draw it and, unless it is a background job, wait for its end.

    Raises
    ------
    TaskError
        A task failed and the job's errors are to be raised; the result is bound all the same.
    Stopped
        The user interrupted it.
    """
    __tracebackhide__ = True
    progress = Progress(
        sink(shell, wanted=job.progress, background=job.background), local=job.settings.local, notes=job.notes
    )
    result: MapResult | None = None
    try:
        result = _start(shell, job)
        result.follow = partial(_again, shell, job)
        started(result)
        progress.begin(result, now=job.background)
        if job.background:
            threading.Thread(target=_follow, args=(progress, result), name="lambda-progress", daemon=True).start()
            return result
        progress.watch(result)
    except KeyboardInterrupt:
        pass
    else:
        _end(result, progress)
        return result
    # Raised outside the handler, else the interrupt would be shown as this error's context.
    raise _stop(job, result, progress)


def _again(shell: InteractiveShell, job: Job, result: MapResult) -> None:
    """Draw a retry and wait for its end."""
    __tracebackhide__ = True
    progress = Progress(sink(shell, wanted=job.progress), local=job.settings.local)
    try:
        progress.begin(result, now=False)
        progress.watch(result)
    except KeyboardInterrupt:
        pass
    else:
        return _end(result, progress)
    raise _stop(job, result, progress)


def _start(shell: InteractiveShell, job: Job) -> MapResult:
    from lithops_magic import engine

    __tracebackhide__ = True
    result = engine.start(
        job.function,
        job.items,
        options=job.options,
        settings=job.settings,
        name_code=partial(code_name, shell),
        reduce=job.reduce,
    )
    shell.user_ns[LAST] = result
    if job.out:
        shell.user_ns[job.out] = result
    return result


def _end(result: MapResult, progress: Progress) -> None:
    __tracebackhide__ = True
    keep = result.options.errors == "keep"
    progress.finish(result, *(_failures(result) if keep else ()))
    if not keep or result.snapshot().state == "broken":
        result.raise_errors()
    if result.reduction is not None and not result.errors:
        result.reduction.value()


def _stop(job: Job, result: MapResult | None, progress: Progress) -> Stopped:
    if result is None:
        return Stopped("Stopped before anything was sent")
    stopped = False
    while not stopped:
        # Whoever presses twice wants it to stop, not to stop stopping.
        with contextlib.suppress(KeyboardInterrupt):
            result.cancel()
            stopped = True
    with contextlib.suppress(KeyboardInterrupt):
        progress.finish(result)
    return Stopped(_stopped(result, job), result)


def _follow(progress: Progress, result: MapResult) -> None:
    progress.watch(result)
    progress.finish(result, *_failures(result))


def _failures(result: MapResult) -> tuple[str, ...]:
    from lithops_magic.engine.view import error_lines

    return tuple(error_lines(result))


def _stopped(result: MapResult, job: Job) -> str:
    snapshot = result.snapshot()
    total = "?" if snapshot.total is None else f"{snapshot.total:,}"
    text = f"Stopped: {snapshot.done + snapshot.failed:,} of {total} finished"
    if snapshot.running:
        where = "the local AWS (they finish)" if job.settings.local else "AWS (they finish and are billed)"
        text += f", {snapshot.running:,} still running on {where}"
    return f"{text}; results so far in `{job.out or LAST}`"
