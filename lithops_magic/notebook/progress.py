"""What a running job looks like: pure functions from a snapshot to text and HTML, and the places they are drawn."""

from __future__ import annotations

import html
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Protocol

from lithops_magic.engine.units import duration, money, plural
from lithops_magic.engine.view import speedup

if TYPE_CHECKING:
    from IPython.core.display_functions import DisplayHandle
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.engine import MapResult, Snapshot

Bundle = dict[str, str]

REFRESH = 0.1
"""Seconds between frames: Jupyter drops messages above 1,000 a second, and an eye needs no more than ten."""
PATIENCE = 0.5
"""Seconds a job may take before progress appears."""
SPARSE = 10.0
"""Seconds between lines where every line is kept (a pipe, a log file)."""
_BAR = 24


def frame(snapshot: Snapshot, *, local: bool, notes: tuple[str, ...] = ()) -> Bundle:
    """Draw a job: phases and counts while it runs, one truthful summary line at its end."""
    if snapshot.finished:
        return _bundle("", summary(snapshot, local=local), notes)
    if snapshot.state == "preparing" or snapshot.phase:
        step = snapshot.phase or "Preparing"
        return _bundle("", f"{step.rstrip(' .…')} … {duration(snapshot.elapsed)}", notes)
    total = snapshot.total or 0
    share = (snapshot.done + snapshot.failed) / total if total else 0.0
    text = " · ".join(_running(snapshot))
    return _bundle(
        f'<progress value="{share:.3f}" max="1" title="tasks finished">{share:.0%}</progress> ', text, notes, share
    )


def summary(snapshot: Snapshot, *, local: bool) -> str:
    """Return the line that stays: counts, wall time, speed-up, cost."""
    finished = snapshot.done + snapshot.failed
    total = finished if snapshot.total is None else snapshot.total
    if snapshot.state == "finished":
        parts = [plural(total, "task")]
    else:
        verb = "Stopped" if snapshot.state == "cancelled" else "Ended early"
        parts = [f"{verb}: {finished:,} of {plural(total, 'task')} finished"]
        parts += _count(snapshot.running, "still running")
    parts += _count(snapshot.failed, "failed", mark="✗ ")
    parts.append(duration(snapshot.elapsed))
    parts += speedup(snapshot) + _count(snapshot.retried, "retried") + _count(snapshot.throttled, "throttled")
    if snapshot.request_cost:
        parts.append(cost(snapshot, local=local))
    return " · ".join(parts)


def cost(snapshot: Snapshot, *, local: bool) -> str:
    """Return what the job costs at list price, and that the local AWS bills nothing."""
    if local:
        return f"{money(snapshot.request_cost)} in requests at list price (local AWS: nothing was billed)"
    whole = snapshot.cost + snapshot.request_cost
    return f"{money(whole)} at list price, {money(snapshot.request_cost)} of it for requests"


def _running(snapshot: Snapshot) -> list[str]:
    finished = snapshot.done + snapshot.failed
    total = "?" if snapshot.total is None else f"{snapshot.total:,}"
    parts = [f"{finished:,}/{total} finished"]
    parts += [f"{snapshot.queued:,} queued"] if snapshot.queued is not None else []
    parts += [f"{snapshot.running:,} running", f"{snapshot.done:,} done"]
    parts += _count(snapshot.failed, "failed", mark="✗ ")
    parts.append(duration(snapshot.elapsed))
    if snapshot.rate:
        parts.append(f"{snapshot.rate:,.1f}/s" if snapshot.rate < 100 else f"{snapshot.rate:,.0f}/s")
    if snapshot.eta:
        parts.append(f"about {duration(snapshot.eta)} left")
    parts += _count(snapshot.retried, "retried") + _count(snapshot.throttled, "throttled")
    spent = snapshot.cost + snapshot.request_cost
    return [*parts, f"{money(spent)} so far"] if spent else parts


def _count(number: int, what: str, mark: str = "") -> list[str]:
    return [f"{mark}{number:,} {what}"] if number else []


def _bundle(bar: str, line: str, notes: tuple[str, ...], share: float | None = None) -> Bundle:
    filled = round(_BAR * share) if share is not None else 0
    drawn = f"[{'█' * filled}{'░' * (_BAR - filled)}] " if share is not None else ""
    text = "\n".join((drawn + line, *(f"Note: {note}" for note in notes)))
    rows = "".join(f"<div><b>Note:</b> {html.escape(note)}</div>" for note in notes)
    return {"text/plain": text, "text/html": f"<div><div>{bar}{html.escape(line)}</div>{rows}</div>"}


def _first_line(bundle: Bundle) -> str:
    return bundle["text/plain"].partition("\n")[0]


class Sink(Protocol):
    """A place where frames are drawn."""

    def draw(self, bundle: Bundle) -> None:
        """Show a frame in place of the one before."""

    def finish(self, bundle: Bundle) -> None:
        """Show the last frame, which stays."""


class Nowhere:
    """Draws nothing."""

    def draw(self, bundle: Bundle) -> None:
        """Do nothing."""

    def finish(self, bundle: Bundle) -> None:
        """Do nothing."""


class CellOutput:
    """One output of a notebook cell, updated in place; works from any thread and after the cell has ended."""

    def __init__(self) -> None:
        self._handle: DisplayHandle | None = None
        self._last: Bundle = {}

    def draw(self, bundle: Bundle) -> None:
        """Show a frame unless nothing has changed."""
        from IPython.display import display

        if bundle == self._last:
            return
        self._last = bundle
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)  # type: ignore[no-untyped-call]

    finish = draw


class Terminal:
    """One line of a terminal, written over and over."""

    def draw(self, bundle: Bundle) -> None:
        """Overwrite the line."""
        sys.stdout.write(f"\r\x1b[K{_first_line(bundle)[: shutil.get_terminal_size().columns - 1]}")
        sys.stdout.flush()

    def finish(self, bundle: Bundle) -> None:
        """Replace the line by the whole last frame."""
        sys.stdout.write(f"\r\x1b[K{bundle['text/plain']}\n")
        sys.stdout.flush()


class Lines:
    """Plain lines, few of them, for a pipe or a log file."""

    def __init__(self) -> None:
        self._next = 0.0

    def draw(self, bundle: Bundle) -> None:
        """Write a line if the one before is old enough."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + SPARSE
            sys.stdout.write(f"{_first_line(bundle)}\n")
            sys.stdout.flush()

    def finish(self, bundle: Bundle) -> None:
        """Write the frame."""
        sys.stdout.write(f"{bundle['text/plain']}\n")
        sys.stdout.flush()


def sink(shell: InteractiveShell, *, wanted: bool, background: bool = False) -> Sink:
    """Choose where to draw: the cell's output in a kernel, else a terminal line or plain lines.

    `LITHOPS_MAGIC_PROGRESS=0` draws nowhere, and so does a background job outside a kernel, because there its
    lines would land under other prompts.
    """
    if not wanted or os.environ.get("LITHOPS_MAGIC_PROGRESS", "").lower() in ("0", "false", "no", "off"):
        return Nowhere()
    if getattr(shell, "kernel", None) is not None:
        return CellOutput()
    if background:
        return Nowhere()
    return Terminal() if sys.stdout.isatty() else Lines()


class Progress:
    """Draws one job until it ends."""

    def __init__(self, where: Sink, *, local: bool, notes: tuple[str, ...] = ()) -> None:
        self._where = where
        self._local = local
        self._notes = notes

    def begin(self, result: MapResult) -> None:
        """Draw the first frame now: an output belongs to the cell whose main thread made it."""
        self._where.draw(self._frame(result))

    def watch(self, result: MapResult) -> None:
        """Draw `result` at most ten times a second until it is done."""
        while not result.wait(REFRESH):
            if result.snapshot().elapsed > PATIENCE:
                self._where.draw(self._frame(result))

    def finish(self, result: MapResult, *notes: str) -> None:
        """Draw the last frame of `result`, whatever its end, with what else there is to say."""
        self._where.finish(self._frame(result, *notes))

    def _frame(self, result: MapResult, *notes: str) -> Bundle:
        snapshot = result.snapshot()
        return frame(snapshot, local=self._local, notes=(*self._notes, *snapshot.notes, *notes))
