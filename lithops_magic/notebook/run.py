"""Runs one map on the main thread of a notebook: starts, draws, stops, raises."""

from __future__ import annotations

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
    """The user interrupted a map; the partial result stays bound."""

    def __init__(self, message: str, result: MapResult) -> None:
        super().__init__(message)
        self.result = result

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A map that is ready to be started."""

    function: Callable[..., Any]
    items: Iterable[Any]
    options: MapOptions
    settings: Settings
    out: str | None
    background: bool
    progress: bool
    notes: tuple[str, ...] = ()


def start(shell: InteractiveShell, job: Job) -> MapResult:
    """Start `job` and bind its result."""
    from lithops_magic import engine

    __tracebackhide__ = True
    result = engine.start(
        job.function, job.items, options=job.options, settings=job.settings, name_code=partial(code_name, shell)
    )
    shell.user_ns[LAST] = result
    if job.out:
        shell.user_ns[job.out] = result
    return result


def follow(shell: InteractiveShell, job: Job, result: MapResult) -> None:
    """Draw a job and, unless it is a background job, wait for its end.

    Raises
    ------
    TaskError
        A task failed and the job's errors are to be raised; the result is bound all the same.
    Stopped
        The user interrupted the wait.
    """
    __tracebackhide__ = True
    progress = Progress(
        sink(shell, wanted=job.progress, background=job.background), local=job.settings.local, notes=job.notes
    )
    if job.background:
        progress.begin(result)
        threading.Thread(target=_follow, args=(progress, result), name="lambda-progress", daemon=True).start()
    else:
        _wait(result, progress, job)


def _wait(result: MapResult, progress: Progress, job: Job) -> None:
    __tracebackhide__ = True
    interrupted = False
    try:
        progress.watch(result)
    except KeyboardInterrupt:
        result.cancel()
        interrupted = True
    # Raised outside the handler, else the interrupt would be shown as this error's context.
    if interrupted:
        progress.finish(result)
        raise Stopped(_stopped(result, job), result)
    keep = job.options.errors == "keep"
    progress.finish(result, *(_failures(result) if keep else ()))
    if not keep or result.snapshot().state == "broken":
        result.raise_errors()


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
