"""Plays a notebook in the terminal: a real kernel runs it, with progress as a live line and results as text."""

from __future__ import annotations

import ast
import asyncio
import logging
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode

_ANSI = re.compile(r"\x1b\[[0-9;]*m")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTHING: Mapping[str, str] = {}

_SECONDS_BETWEEN_LINES = 5.0
"""Seconds between progress updates in a pipe or log file, which keeps every line."""

_MAPS = """[
    (s.started_at, name, s.total, s.elapsed, s.serial_seconds, s.spent)
    for name, value in list(globals().items())
    if type(value).__name__ == "MapResult" and not name.startswith("_")
    for s in [value.snapshot()]
]"""
"""Evaluated in the notebook's kernel, which alone has the results."""


@dataclass(frozen=True)
class MapFigures:
    """What a result object in the notebook's kernel reports at the end."""

    name: str
    tasks: int
    elapsed: float
    """Seconds from start to last result."""
    serial_seconds: float
    """Duration of the tasks if run in sequence."""
    spent: float
    """USD at list price."""

    @property
    def speedup(self) -> float:
        return self.serial_seconds / self.elapsed if self.elapsed else 0.0


class Screen:
    """Writes results permanently and progress as a live line, redrawn in a terminal and updated sparsely in a pipe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._live = ""
        self._written = ""
        self._written_at = 0.0

    def write(self, text: str) -> None:
        """Write permanent lines."""
        self.settle()
        clean = text if self._is_terminal else _ANSI.sub("", text)
        self._stream.write(clean.rstrip("\n") + "\n")
        self._stream.flush()

    def heading(self, text: str) -> None:
        self.write(f"\n\x1b[1m{text}\x1b[0m")

    def live(self, text: str) -> None:
        """Show the current state of something in progress."""
        self._live = text.strip()
        if self._is_terminal:
            line = " ".join(self._live.split("\n"))[: shutil.get_terminal_size().columns - 1]
            self._stream.write(f"\r\x1b[K{line}")
            self._stream.flush()
        elif self._live != self._written and time.monotonic() - self._written_at >= _SECONDS_BETWEEN_LINES:
            self._write_line()

    def settle(self) -> None:
        """Make the live line's last state permanent."""
        if self._live and self._is_terminal:
            self._stream.write(f"\r\x1b[K{self._live}\n")
        elif self._live and self._live != self._written:
            self._write_line()
        self._live = ""

    def _write_line(self) -> None:
        self._stream.write(self._live + "\n")
        self._stream.flush()
        self._written, self._written_at = self._live, time.monotonic()


class Player(NotebookClient):
    """Executes a notebook in a kernel of this interpreter, and shows on a `Screen` what a reader would see."""

    def __init__(
        self, notebook: NotebookNode, screen: Screen, folder: Path, environment: Mapping[str, str] = _NOTHING
    ) -> None:
        # Without kernel folders to search, `python3` is this interpreter; an installed spec may point at another.
        manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
        super().__init__(
            notebook,
            km=manager,
            # A cell's map may take hours.
            timeout=None,
            record_timing=False,
            coalesce_streams=True,
            store_widget_state=False,
            shutdown_kernel="immediate",
            extra_arguments=["--log-level=CRITICAL"],
            log=logging.Logger("lithops-magic demo", logging.CRITICAL),
        )
        self._screen = screen
        self._folder = folder
        self._environment = {**os.environ, **environment}

    async def play(self) -> list[MapFigures]:
        """Run all cells and return the figures of the maps they made.

        Raises
        ------
        nbclient.exceptions.CellExecutionError
            A cell failed that is not tagged `raises-exception`.
        nbclient.exceptions.DeadKernelError
            The kernel died.
        """
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        try:
            async with self.async_setup_kernel(cwd=str(self._folder), env=self._environment, cleanup_kc=True):
                self._restore(handlers)
                for index, cell in enumerate(self.nb.cells):
                    self._announce(cell)
                    await self.async_execute_cell(cell, index)
                self._screen.settle()
                return await self._figures()
        except DeadKernelError:
            # Ctrl-C arrives as a cancellation of this task.
            # nbclient reports a cancelled cell in the same words.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from None
            raise

    @staticmethod
    def _restore(handlers: dict[signal.Signals, Any]) -> None:
        """Undo nbclient's handlers, which kill the kernel under a running cell; asyncio's own cancels this task."""
        for number, handler in handlers.items():
            with suppress(RuntimeError):
                asyncio.get_running_loop().remove_signal_handler(number)
            if threading.current_thread() is threading.main_thread():
                signal.signal(number, handler)

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        self._show(msg["msg_type"], msg["content"])
        return super().process_message(msg, cell, cell_index)

    def _announce(self, cell: NotebookNode) -> None:
        if cell.cell_type == "markdown":
            for title in re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE):
                self._screen.heading(title)
        else:
            first, *rest = cell.source.split("\n")
            self._screen.write(f"\x1b[2mIn [{self.code_cells_executed + 1}]: {first}{' …' if rest else ''}\x1b[0m")

    def _show(self, kind: str, content: dict[str, Any]) -> None:
        if kind == "stream":
            self._screen.write(content["text"])
        elif kind == "error":
            self._screen.write("\n".join(content["traceback"]))
        elif kind in ("display_data", "update_display_data", "execute_result"):
            text = "(a picture)" if "image/png" in content["data"] else content["data"].get("text/plain", "")
            is_live = bool((content.get("transient") or {}).get("display_id"))
            (self._screen.live if is_live else self._screen.write)(text)

    async def _figures(self) -> list[MapFigures]:
        assert self.kc is not None
        message = self.kc.execute("", silent=True, user_expressions={"maps": _MAPS})
        reply = await self.async_wait_for_reply(message)
        assert reply is not None
        rows = reply["content"]["user_expressions"]["maps"]["data"]["text/plain"]
        return [MapFigures(*row) for _, *row in sorted(ast.literal_eval(rows))]


def play(
    notebook: NotebookNode, stream: TextIO, folder: Path, environment: Mapping[str, str] = _NOTHING
) -> list[MapFigures]:
    """Execute `notebook` in place, in a fresh kernel working in `folder`, and report progress to `stream`.

    Parameters
    ----------
    environment
        Environment variables for the kernel, in addition to this process's own.
    """
    screen = Screen(stream)
    try:
        return asyncio.run(Player(notebook, screen, folder, environment).play())
    finally:
        screen.settle()
