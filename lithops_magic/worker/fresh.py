"""Makes a forked process a fresh one: its own output, Python's own way of logging, its own random numbers."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import io
import logging
import os
import signal
import sys
import termios
import time
from typing import Any

from .capture import Log
from .channel import Channel

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36
"""Of Linux' prctl."""
_LINE_BUFFERED = 1
_RESEED = {"random": "seed", "numpy.random": "seed", "torch": "seed"}
"""Modules with random numbers of the whole process, and what seeds them from the system's."""


def begin(channel: Channel, printed: int, heard: memoryview[int] | None, ask: str) -> Log:
    """Begin the life of a forked process; return the way to what it prints."""
    # Else every collection would copy all memory that is shared with the parent.
    gc.freeze()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        # What daemons leave behind stays below this process, which is how it is found.
        libc.prctl(_SET_SUBREAPER, 1)
    _log_as_python_does()
    reseed()
    return Printed(channel, printed, heard, ask)


def reseed() -> None:
    """Give this process random numbers of its own: those of its parent are its siblings' as well."""
    for name, function in _RESEED.items():
        if name in sys.modules:
            with contextlib.suppress(Exception):
                getattr(sys.modules[name], function)()


def _log_as_python_does() -> None:
    """Take away the runtime's handler, which hides `basicConfig` and writes to CloudWatch past standard error."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    logging.Formatter.converter = time.localtime
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter(logging.BASIC_FORMAT))


class Printed:
    """What this process and all that it starts print; called, it returns what is new.

    Both streams lead to one pipe, which keeps their order; the parent reads it, so that nothing is lost with this
    process, and no thread is needed, which compiled code could keep from running.
    """

    def __init__(self, channel: Channel, printed: int, heard: memoryview[int] | None, ask: str) -> None:
        self._channel, self._printed, self._heard, self._ask = channel, printed, heard, ask
        self._seen = 0
        self._libc = ctypes.CDLL(None)
        self._streams: tuple[Any, Any] = (None, None)
        self.redirect()
        with contextlib.suppress(Exception):  # compiled code prints in order, too, where it can be told to
            self._libc.setvbuf(ctypes.c_void_p.in_dll(self._libc, "stdout"), None, _LINE_BUFFERED, 0)

    def __call__(self) -> str:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # of the user's own
                stream.flush()
        self._libc.fflush(None)
        self.redirect()
        if self._quiet():
            return ""
        self._channel.send(self._ask)
        text, self._seen = self._channel.receive()
        return str(text)

    def redirect(self) -> None:
        """Lead both streams to the parent, also where a task has led them elsewhere or closed them."""
        os.dup2(self._printed, 1)
        os.dup2(self._printed, 2)
        if any(stream is None or stream.closed for stream in self._streams):
            self._streams = _stream(1), _stream(2)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = self._streams  # type: ignore[misc]

    def _quiet(self) -> bool:
        """Whether the parent has read nothing since it was asked last, and there is nothing to read."""
        if sys.platform != "linux" or not self._heard:
            return False
        waiting = fcntl.ioctl(self._printed, termios.FIONREAD, b"\0\0\0\0")
        # In this order: what is no longer in the pipe is being read, or was.
        return not int.from_bytes(waiting, sys.byteorder) and not self._heard[0] and self._heard[1] == self._seen


def _stream(descriptor: int) -> io.TextIOWrapper:
    """A stream without a buffer, so that everything is in order; what no encoding has must not fail the task."""
    raw = io.FileIO(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)
