"""Where and how often a running job is drawn."""

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
"""Seconds between frames: Jupyter drops messages above 1,000 a second, and ten are enough for the eye."""
PATIENCE = 0.5
"""Seconds before progress appears."""
SPARSE = 10.0
"""Seconds between lines if every line is kept (pipe, log file)."""


def _first_line(bundle: Bundle) -> str:
    return bundle["text/plain"].partition("\n")[0]


def _fitting(line: str) -> str:
    """Drop the last parts of a line too wide for the terminal: the most important ones come first."""
    # One less, because some terminals wrap a line that fills the last column, and `\r` does not go back over it.
    width = shutil.get_terminal_size().columns - 1
    while len(line) > width and " · " in line:
        line = line.rpartition(" · ")[0]
    return line[:width]


def _red(line: str) -> str:
    """Highlight failures in a terminal."""
    return _FAILED.sub("\x1b[31m\\g<0>\x1b[0m", line)


_FAILED = re.compile(r"✗ [\d,]+ failed")


class Sink(Protocol):
    """Where frames are drawn."""

    def draw(self, bundle: Bundle) -> None:
        """Show a frame in place of the previous one."""

    def finish(self, bundle: Bundle) -> None:
        """Show the last frame, which stays."""


class Nowhere:
    """Draws nothing."""

    def draw(self, bundle: Bundle) -> None:
        """Do nothing."""

    def finish(self, bundle: Bundle) -> None:
        """Do nothing."""


# Neither ipywidgets, whose state is not saved with a notebook and which headless runs freeze at the start, nor printing
# from a thread, which lands in whatever cell runs: a display is addressed by its ID.
class CellOutput:
    """A notebook cell's output, updated in place; works from any thread, even after the cell has ended."""

    def __init__(self) -> None:
        self._handle: DisplayHandle | None = None
        self._last: Bundle = {}

    def draw(self, bundle: Bundle) -> None:
        """Show a frame if it differs from the previous one."""
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
    """Output that cannot be withdrawn: each note is written once, as soon as it is known."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def _news(self, bundle: Bundle) -> list[str]:
        # Every line but the first is a note.
        fresh = [note for note in bundle["text/plain"].split("\n")[1:] if note not in self._told]
        self._told.update(fresh)
        return fresh

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


class Terminal(_Stream):
    """One line in a terminal, overwritten repeatedly."""

    def draw(self, bundle: Bundle) -> None:
        """Overwrite the line, with new notes above it."""
        news = "".join(f"\r\x1b[K{note}\n" for note in self._news(bundle))
        self._write(f"{news}\r\x1b[K{_red(_fitting(_first_line(bundle)))}")

    def finish(self, bundle: Bundle) -> None:
        """Replace the line with the entire last frame."""
        self._write("\n".join((f"\r\x1b[K{_red(_first_line(bundle))}", *self._news(bundle), "")))


class PlainLines(_Stream):
    """A few plain lines for a pipe or a log file."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def draw(self, bundle: Bundle) -> None:
        """Write a line if the previous one is old enough or there are new notes."""
        now, news = time.monotonic(), self._news(bundle)
        if now >= self._next or news:
            self._next = now + SPARSE
            self._write("\n".join((_first_line(bundle), *news, "")))

    def finish(self, bundle: Bundle) -> None:
        """Write the frame."""
        self._write("\n".join((_first_line(bundle), *self._news(bundle), "")))


def sink(shell: InteractiveShell, *, wanted: bool, background: bool = False) -> Sink:
    """Choose where to draw: the cell's output in a kernel, else one terminal line or plain lines.

    `LITHOPS_MAGIC_PROGRESS=0` turns drawing off. A background job outside a kernel is not drawn either, because its
    lines would appear under later prompts.
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
        """Notes already shown by earlier jobs."""
        self._countdown = Countdown()
        self._began = time.monotonic()

    @property
    def visible(self) -> bool:
        """Whether frames are drawn anywhere."""
        return not isinstance(self._where, Nowhere)

    def note(self, text: str) -> None:
        """Show an extra line from the next frame on."""
        self._notes = (*self._notes, text)

    def begin(self, result: MapResult, *, now: bool) -> None:
        """Draw the first frame immediately if it cannot wait.

        An output belongs to the cell whose main thread created it, so a job that outlives its cell is drawn `now`;
        what the user should know before anything is sent is also shown at once.
        """
        # Otherwise not before PATIENCE has passed: a bar that flashes up distracts.
        if now or self._news(result.snapshot()):
            self._where.draw(self._frame(result))

    def watch(self, result: MapResult) -> None:
        """Draw `result` at most ten times a second until it is done, then its reduction."""
        # The main thread both waits and draws: an interrupt arrives in its short waits, and output belongs to its cell.
        while not result.wait(self._refresh()):
            self._draw(result)
        while result._reduction is not None and not result._reduction.wait(REFRESH):
            self._draw(result)

    def finish(self, result: MapResult, *notes: str) -> None:
        """Draw the last frame of `result`, however it ended, with additional notes."""
        self._where.finish(self._frame(result, *notes))

    def _refresh(self) -> float:
        """Return the seconds to the next frame: more if frames include a picture."""
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
            # After the kernel has ended, this tells when the saved frame was current.
            mark += f" at {datetime.now():%H:%M:%S}"
        return frame(snapshot, left=left, notes=notes, reducing=Reducing.of(result), picture=picture, mark=mark)

    def _news(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return the job's notes that no earlier job of the session has shown."""
        self._told.update(snapshot.notes)
        return tuple(note for note in snapshot.notes if note not in self._shown_before)
