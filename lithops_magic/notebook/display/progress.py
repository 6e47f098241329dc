"""Where a running job is drawn, and how often."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from lithops_magic.notebook.display.countdown import Countdown
from lithops_magic.notebook.display.job_table import SHOWN
from lithops_magic.notebook.display.progress_frame import Bundle, Reducing, frame
from lithops_magic.notebook.display.timeline import PERIOD, WORTH, Timeline

if TYPE_CHECKING:
    from IPython.core.display_functions import DisplayHandle
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.engine import MapResult, Snapshot

REFRESH = 0.1
"""Seconds between frames: Jupyter drops messages above 1,000 a second, and an eye needs no more than ten."""
PATIENCE = 0.5
"""Seconds a job may take before progress appears."""
SPARSE = 10.0
"""Seconds between lines where every line is kept (a pipe, a log file)."""


def _first_line(bundle: Bundle) -> str:
    return bundle["text/plain"].partition("\n")[0]


def _fitting(line: str) -> str:
    """Leave out the last parts of a line that does not fit into the terminal: what matters most stands first."""
    width = shutil.get_terminal_size().columns - 1
    while len(line) > width and " · " in line:
        line = line.rpartition(" · ")[0]
    return line[:width]


def _red(line: str) -> str:
    """Let failures stand out on a terminal."""
    return _FAILED.sub("\x1b[31m\\g<0>\x1b[0m", line)


_FAILED = re.compile(r"✗ [\d,]+ failed")


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


class _Stream:
    """Text that cannot be taken back: each note is written once, as soon as it is known."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def _news(self, bundle: Bundle) -> list[str]:
        fresh = [note for note in bundle["text/plain"].split("\n")[1:] if note not in self._told]
        self._told.update(fresh)
        return fresh

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


class Terminal(_Stream):
    """One line of a terminal, written over and over."""

    def draw(self, bundle: Bundle) -> None:
        """Overwrite the line, and push news above it."""
        news = "".join(f"\r\x1b[K{note}\n" for note in self._news(bundle))
        self._write(f"{news}\r\x1b[K{_red(_fitting(_first_line(bundle)))}")

    def finish(self, bundle: Bundle) -> None:
        """Replace the line by the whole last frame."""
        self._write("\n".join((f"\r\x1b[K{_red(_first_line(bundle))}", *self._news(bundle), "")))


class PlainLines(_Stream):
    """Plain lines, few of them, for a pipe or a log file."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def draw(self, bundle: Bundle) -> None:
        """Write a line if the one before is old enough, or there is news."""
        now, news = time.monotonic(), self._news(bundle)
        if now >= self._next or news:
            self._next = now + SPARSE
            self._write("\n".join((_first_line(bundle), *news, "")))

    def finish(self, bundle: Bundle) -> None:
        """Write the frame."""
        self._write("\n".join((_first_line(bundle), *self._news(bundle), "")))


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
    return Terminal() if sys.stdout.isatty() else PlainLines()


class Progress:
    """Draws one job until it ends."""

    def __init__(
        self, where: Sink, *, notes: tuple[str, ...] = (), timeline: bool = False, told: set[str] | None = None
    ) -> None:
        self._where = where
        self._timeline = Timeline() if timeline and isinstance(where, CellOutput) else None
        self._notes = notes
        self._told = set() if told is None else told
        self._shown_before = frozenset(self._told)
        """Notes that earlier jobs have already shown."""
        self._countdown = Countdown()
        self._began = time.monotonic()

    @property
    def visible(self) -> bool:
        """Whether frames are drawn anywhere."""
        return not isinstance(self._where, Nowhere)

    def note(self, text: str) -> None:
        """Show one more line from the next frame on."""
        self._notes = (*self._notes, text)

    def begin(self, result: MapResult, *, now: bool) -> None:
        """Draw the first frame if that cannot wait.

        An output belongs to the cell whose main thread made it, so a job that goes on behind it is drawn `now`; and
        what the user should know before anything is sent is said at once.
        """
        if now or self._news(result.snapshot()):
            self._where.draw(self._frame(result))

    def watch(self, result: MapResult) -> None:
        """Draw `result` at most ten times a second until it is done, and what reduces it after that."""
        while not result.wait(self._refresh()):
            self._draw(result)
        while result._reduction is not None and not result._reduction.wait(REFRESH):
            self._draw(result)

    def finish(self, result: MapResult, *notes: str) -> None:
        """Draw the last frame of `result`, whatever its end, with what else there is to say."""
        self._where.finish(self._frame(result, *notes))

    def _refresh(self) -> float:
        """Return the seconds to the next frame: fewer of them once a picture goes with each."""
        shown = self._timeline is not None and time.monotonic() - self._began > WORTH
        return PERIOD if shown else REFRESH

    def _draw(self, result: MapResult) -> None:
        if time.monotonic() - self._began > PATIENCE:
            self._where.draw(self._frame(result))

    def _frame(self, result: MapResult, *notes: str) -> Bundle:
        snapshot = result.snapshot()
        notes = (*self._notes, *self._news(snapshot), *notes)
        picture = self._timeline.picture(result, snapshot) if self._timeline else ""
        left = self._countdown.left(snapshot.eta, time.monotonic())
        mark = f"job {result.job_id[:SHOWN]}"
        if isinstance(self._where, CellOutput) and not snapshot.finished:
            # In a notebook whose kernel is gone, this is what tells when it was true.
            mark += f" at {datetime.now():%H:%M:%S}"
        return frame(snapshot, left=left, notes=notes, reducing=Reducing.of(result), picture=picture, mark=mark)

    def _news(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return the job's notes that no earlier job of the session has shown."""
        self._told.update(snapshot.notes)
        return tuple(note for note in snapshot.notes if note not in self._shown_before)
