"""How a script ends: with short messages for our errors and for interrupts, and a note on unfinished jobs."""

from __future__ import annotations

import atexit
import sys
import weakref
from types import TracebackType
from typing import TYPE_CHECKING

from lithops_magic import user_code
from lithops_magic.engine.text.units import plural
from lithops_magic.errors import LithopsMagicError

if TYPE_CHECKING:
    from lithops_magic.engine.job.job import Job

_LINE = "_render_traceback_"
"""IPython shows what this method of an error returns, and so do we."""

_jobs: weakref.WeakSet[Job] = weakref.WeakSet()


def install() -> None:
    """Hide our frames in the traceback of an error of ours that ends a script, unless the script has an excepthook."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _show


def look_after(job: Job) -> None:
    """Arrange for this process to report on exit what happens to `job`."""
    if not _jobs:
        atexit.unregister(_leave)
        atexit.register(_leave)
    _jobs.add(job)


def interrupted(error: KeyboardInterrupt, job: Job | None) -> None:
    """Make an interrupt say in one line what is kept and how to continue."""
    text = "Interrupted before anything was sent" if job is None else f"Interrupted: {_outlook(job)}"
    # Keep the type: a shell recognizes an interrupted script by it.
    error.args = (text,)
    vars(error)[_LINE] = lambda: [text]


def _outlook(job: Job) -> str:
    """Describe what remains of a job when this process ends."""
    snapshot = job.snapshot()
    ended = snapshot.done + snapshot.failed
    of = "" if snapshot.total is None else f" of {snapshot.total:,}"
    text = f"{ended:,}{of} tasks done"
    if job.options.detach:
        return f"{text}; the job continues without this process: lithops_magic.attach({job.id!r})"
    if snapshot.running:
        text += f", {snapshot.running:,} still running"
    if not job.written:
        return f"{text}; the job was too short to be recorded, so the next run starts over"
    return f"{text} and kept: lithops_magic.attach({job.id!r}, resume=True) runs the rest"


def _leave() -> None:
    """Report the jobs that end with this process."""
    # A notebook shows its jobs itself, and its kernel's stderr is nobody's screen.
    if getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)() is not None:
        return
    running = [job for job in _jobs if not job.over and not job.options.detach]
    for job in running:
        print(f"The script ended while a background job ran: {_outlook(job)}", file=sys.stderr)  # noqa: T201
    if running:
        wait = "wait() before the script ends, or detach=True, lets a job finish"
        print(f"{plural(len(running), 'job')} stopped with the script; {wait}", file=sys.stderr)  # noqa: T201


def _show(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    if isinstance(error, LithopsMagicError):
        lines = list(user_code.lines(at))
        head = ["Traceback (most recent call last):", *lines] if lines else []
        text = "\n".join([*head, error.report()])
    elif isinstance(error, KeyboardInterrupt) and _LINE in vars(error):
        text = str(error)
    else:
        sys.__excepthook__(kind, error, at)
        return
    print(text, file=sys.stderr)  # noqa: T201
