"""Sets up a forked process: its own output, Python's default logging, its own random seeds."""

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
"""Linux's prctl option."""
_LINE_BUFFERED = 1
_RESEED = {"random": "seed", "numpy.random": "seed", "torch": "seed"}
"""Modules with a process-wide random generator, and the function that reseeds it."""


def set_up(channel: Channel, output: int, read_state: memoryview[int] | None, request: str) -> Log:
    """Set up a forked process; return the way to its output."""
    # Otherwise every garbage collection would copy all memory shared with the parent.
    gc.freeze()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        # Orphans of daemons become children of this process, where they can be found.
        libc.prctl(_SET_SUBREAPER, 1)
    _reset_logging()
    reseed()
    return Output(channel, output, read_state, request)


def reseed() -> None:
    """Reseed this process's random numbers, which it would otherwise share with its siblings."""
    for name, function in _RESEED.items():
        if name in sys.modules:
            with contextlib.suppress(Exception):
                getattr(sys.modules[name], function)()


def _reset_logging() -> None:
    """Remove the runtime's log handler, which disables `basicConfig` and bypasses standard error."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    # awslambdaric has set it to UTC.
    logging.Formatter.converter = time.localtime
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter(logging.BASIC_FORMAT))


class Output:
    """The output of this process and everything it starts; calling it returns what is new.

    Both streams go to one pipe, which preserves their order. The parent reads it, so nothing is lost if this process
    dies, and no thread is needed, which compiled code could block.
    """

    def __init__(self, channel: Channel, output: int, read_state: memoryview[int] | None, request: str) -> None:
        self._channel, self._output, self._read_state, self._request = channel, output, read_state, request
        self._seen = 0
        self._libc = ctypes.CDLL(None)
        self._streams: tuple[Any, Any] = (None, None)
        self.redirect()
        with contextlib.suppress(Exception):  # flush C's buffers too, where possible
            self._libc.setvbuf(ctypes.c_void_p.in_dll(self._libc, "stdout"), None, _LINE_BUFFERED, 0)

    def __call__(self) -> str:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # a task may have replaced the stream
                stream.flush()
        self._libc.fflush(None)
        self.redirect()
        if self._is_idle():
            return ""
        self._channel.send(self._request)
        text, self._seen = self._channel.receive()
        return str(text)

    def redirect(self) -> None:
        """Connect both streams to the parent, even if a task has redirected or closed them."""
        os.dup2(self._output, 1)
        os.dup2(self._output, 2)
        if any(stream is None or stream.closed for stream in self._streams):
            self._streams = _stream(1), _stream(2)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = self._streams  # type: ignore[misc]

    def _is_idle(self) -> bool:
        """Whether the parent has read nothing since the last call, and there is nothing to read."""
        if sys.platform != "linux" or not self._read_state:
            return False
        waiting = fcntl.ioctl(self._output, termios.FIONREAD, b"\0\0\0\0")
        # In this order: what has left the pipe has been read, or is being read.
        return (
            not int.from_bytes(waiting, sys.byteorder) and not self._read_state[0] and self._read_state[1] == self._seen
        )


def _stream(descriptor: int) -> io.TextIOWrapper:
    """Return an unbuffered stream, so that output stays in order; unencodable text must not fail the task."""
    raw = io.FileIO(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)
