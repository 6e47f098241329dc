"""Runs a job from a notebook's main thread: starts, draws, stops, raises."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from lithops_magic.engine.text.units import plural
from lithops_magic.notebook.display.offer import attach_hint
from lithops_magic.notebook.display.progress import Progress, sink

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.engine import MapResult

LAST = "_lambda"
"""The notebook variable for the latest result, whatever its outcome."""


class Stopped(KeyboardInterrupt):
    """The user interrupted a job; the partial result stays bound."""

    def __init__(self, message: str, result: MapResult | None = None) -> None:
        super().__init__(message)
        self.result = result

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass(frozen=True, kw_only=True)
class View:
    """How a job is shown, and which variable it is bound to."""

    out: str | None = None
    """The variable bound to the result before the work starts."""
    background: bool = False
    progress: bool = True
    timeline: bool = True
    """Whether to draw a timeline."""
    notes: tuple[str, ...] = ()
    told: set[str] = field(default_factory=set)
    """Notes already shown by the session's jobs: each is shown once."""
    shows_result: bool = False
    """Whether the cell's output is the result itself, which lists its errors."""

    def begin(self, shell: InteractiveShell, *, background: bool = False) -> Progress:
        """Return the progress display of a job that is starting."""
        where = sink(shell, wanted=self.progress, background=background)
        return Progress(where, notes=self.notes, timeline=self.timeline, told=self.told)


def run(
    shell: InteractiveShell, view: View, start: Callable[[], MapResult], started: Callable[[MapResult], None]
) -> MapResult:
    """Start a job, bind its result, draw it and, unless it runs in the background, wait for its end.

    Raises
    ------
    TaskError
        A task failed and errors are to be raised; the result is still bound.
    Stopped
        The user interrupted it.
    """
    __tracebackhide__ = True
    progress = view.begin(shell, background=view.background)
    result: MapResult | None = None
    try:
        result = start()
        # At once, so that an interrupt or an error at any later moment leaves the result in its variable.
        _bind(shell, view, result)
        started(result)
        if view.background:
            return _go_on(view, result, progress)
        progress.begin(result, now=False)
        progress.watch(result)
    except KeyboardInterrupt:
        pass
    else:
        return _end(view, result, progress)
    # Raised outside the handler, so that the interrupt is not shown as this error's context.
    raise _stop(view, result, progress)


def _bind(shell: InteractiveShell, view: View, result: MapResult) -> None:
    shell.user_ns[LAST] = result
    if view.out:
        shell.user_ns[view.out] = result
    # Called by `result.retry()`, so that a retry is drawn in the cell that asks for it.
    result._follow = partial(_show_retry, shell, view)


def _show_retry(shell: InteractiveShell, view: View, result: MapResult) -> None:
    """Draw a retry, and wait for its end."""
    __tracebackhide__ = True
    progress = replace(view, notes=()).begin(shell)
    try:
        progress.begin(result, now=False)
        progress.watch(result)
    except KeyboardInterrupt:
        pass
    else:
        _end(replace(view, shows_result=False), result, progress)
        return
    raise _stop(view, result, progress)


def _end(view: View, result: MapResult, progress: Progress) -> MapResult:
    __tracebackhide__ = True
    keep = result.options.errors == "keep"
    progress.finish(result, *(_failures(result) if keep and not view.shows_result else ()), *attach_hint(result))
    # Keeping errors concerns tasks; a job that broke off has no result to look at.
    if not keep or result.snapshot().state == "broken":
        result.raise_errors()
    if result._reduction is not None and not result.errors:
        result._reduction.value()
    return result


def _go_on(view: View, result: MapResult, progress: Progress) -> MapResult:
    """Draw a background job in the output of the cell that started it."""
    from lithops_magic.engine.handover import handed_over

    def follow() -> None:
        progress.watch(result)
        progress.finish(result, *_failures(result), *attach_hint(result))

    if result.options.detach:
        text = (
            f"job {result.job_id} keeps running without this notebook; %lambda_attach {result.job_id} gets its results"
        )
        progress.note(text)
        if view.progress and not progress.visible:
            # In a terminal, background jobs are not drawn, but their ID is needed to find them.
            print(text[0].upper() + text[1:])  # noqa: T201
    progress.begin(result, now=True)
    # Updating a display that the main thread has created is allowed from any thread, also after its cell has ended.
    threading.Thread(target=follow, name="lambda-progress", daemon=True).start()
    # The notebook must stay open until AWS has received everything.
    return handed_over(result) if result.options.detach else result


def _stop(view: View, result: MapResult | None, progress: Progress) -> Stopped:
    if result is None:
        return Stopped("Stopped before anything was sent")
    stopped = False
    while not stopped:
        # A second interrupt must not stop the stopping.
        with contextlib.suppress(KeyboardInterrupt):
            result.cancel()
            stopped = True
    with contextlib.suppress(KeyboardInterrupt):
        progress.finish(result)
    return Stopped(_stopped(view, result, said=progress.visible), result)


def _failures(result: MapResult) -> tuple[str, ...]:
    from lithops_magic.engine.result.summary import error_lines

    return tuple(error_lines(result, debug=True))


def _stopped(view: View, result: MapResult, *, said: bool) -> str:
    """Describe how the job ended; includes the counts only if the progress bar has not `said` them."""
    snapshot = result.snapshot()
    total = "?" if snapshot.total is None else f"{snapshot.total:,}"
    parts = [] if said else [f"Stopped: {snapshot.done + snapshot.failed:,} of {total} finished"]
    if snapshot.running:
        where = "the local AWS" if snapshot.local else "AWS and is billed"
        parts.append(f"what is still running ({plural(snapshot.running, 'task')}) finishes on {where}")
    parts.append(f"results so far in `{view.out or LAST}`: .succeeded(); .retry() runs the rest")
    text = "; ".join(parts)
    return text[0].upper() + text[1:]
