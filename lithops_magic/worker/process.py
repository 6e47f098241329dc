"""A forked process of the sandbox, and its parent's ear: what it prints, what it says, and how it ends."""

# ruff: noqa: PTH123, PTH208 - importing pathlib would slow every cold start

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from . import fresh
from .capture import Capture, Log
from .channel import Channel, write
from .fault import describe

ASK_LOG = "log"
"""What a process sends to get what it has printed since it asked last."""
_PIPE = 65_536
"""Bytes that a pipe holds."""
_DYING = 1.0
"""Seconds that a process may take from closing its pipes to its end."""

Life = Callable[[Channel, Log], None]


class Process:
    """A process that does what its parent tells it, and ends with it.

    Parameters
    ----------
    life
        What it does, given the way to its parent and to what it has printed; it ends by EOFError.
    private
        Descriptors of the parent that it must not hold.
    env
        Variables that an interpreter of its own is started with, to live the life of a job; None: it is forked only.
    """

    def __init__(self, life: Life, private: Iterable[int] = (), env: dict[str, str] | None = None) -> None:
        incoming, theirs_out = os.pipe()
        theirs_in, outgoing = os.pipe()
        self.output, printed = os.pipe()
        os.set_blocking(self.output, False)
        self.channel = Channel(incoming, outgoing)
        self.capture = Capture()
        self._line = b""
        # Shared: whether the parent is reading what was printed, and how many times it has.
        self._heard = memoryview(mmap.mmap(-1, 16)).cast("Q")
        self._status: int | None = None
        # What is buffered would be written by both.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # a task may have put anything in its place
                stream.flush()
        with warnings.catch_warnings():
            # Libraries may have started threads, which the child lacks; they are made for that.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            if env:
                _start_anew((theirs_in, theirs_out, printed), env)
            live(life, Channel(theirs_in, theirs_out), printed, self._heard, [*self.descriptors, *private])
        for descriptor in (theirs_in, theirs_out, printed):
            os.close(descriptor)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What its siblings must not hold."""
        return *self.channel.descriptors, self.output

    @property
    def heard(self) -> int:
        """How many times something was read of what it has printed."""
        return self._heard[1]

    def hear(self) -> None:
        """Take what it has printed: on to CloudWatch line by line, and into the capture."""
        self._heard[0] = 1
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.output, _PIPE)
            self.capture.keep(data)
            self._heard[1] += 1
            self._line += data
            # Lines of several processes are not to be mixed.
            self._pass_on(len(self._line) if len(self._line) > _PIPE else self._line.rfind(b"\n") + 1)
        self._heard[0] = 0

    def take(self) -> str:
        """Return what it has printed since this was asked last."""
        self._pass_on(len(self._line))
        return self.capture.take()

    def _pass_on(self, size: int) -> None:
        if size:
            write(1, self._line[:size])
            self._line = self._line[size:]

    def is_dead(self) -> bool:
        """Whether it has ended, even if what it has started still holds its pipes."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def end(self, *, silent: bool = False) -> int:
        """End it and all that it has started, if it still runs; return its exit code, negative for a signal.

        Parameters
        ----------
        silent
            It has closed its pipes, so that it is about to end by itself, which tells more.
        """
        patience = time.monotonic() + (_DYING if silent else 0)
        while not self.is_dead() and time.monotonic() < patience:
            time.sleep(0.001)
        if not self.is_dead():
            kill_tree(self.pid)
            self._status = os.waitpid(self.pid, 0)[1]
        self.hear()
        self._pass_on(len(self._line))
        for descriptor in self.descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        assert self._status is not None
        return os.waitstatus_to_exitcode(self._status)


def attend(processes: Sequence[Process], patience: float) -> list[tuple[Process, Any]]:
    """Listen to processes for so many seconds at most; return what they have said, None of one that has ended."""
    poll = select.poll()
    for process in processes:
        poll.register(process.output, select.POLLIN)
        poll.register(process.channel.incoming, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(patience * 1000)}
    news: list[tuple[Process, Any]] = []
    for process in processes:
        if process.output in ready:
            process.hear()
        if process.channel.incoming in ready:
            news += [(process, message) for message in _conversation(process)]
        elif process.is_dead() and not _has_spoken(process):
            news.append((process, None))
    return news


def _has_spoken(process: Process) -> bool:
    poll = select.poll()
    poll.register(process.channel.incoming, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


def _conversation(process: Process) -> Iterable[Any]:
    try:
        message = process.channel.receive()
        # All that was printed before it was sent is in the pipe.
        process.hear()
        if message != ASK_LOG:
            return [message]
        process.channel.send((process.take(), process.heard))
    except (EOFError, OSError):
        return [None]
    return []


def _start_anew(descriptors: tuple[int, ...], env: dict[str, str]) -> NoReturn:
    """Become an interpreter that starts with these variables."""
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        code = f"from {__package__} import handler, job; job.renewed{descriptors}"
        flags = [flag for flag in sys.orig_argv[1:3] if flag in ("-S", "-s")]
        variables = {**os.environ, **env, "PYTHONPATH": os.environ["PYTHONPATH"]}
        os.execve(sys.executable, [sys.executable, *flags, "-P", "-c", code], variables)
    finally:
        # Else there would be two handlers.
        os._exit(1)


def live(
    life: Life, channel: Channel, printed: int, heard: memoryview[int] | None = None, private: Iterable[int] = ()
) -> NoReturn:
    """Live the life of a process; `Process` and `Printed` say what the parameters are."""
    try:
        for descriptor in private:
            os.close(descriptor)
        life(channel, fresh.begin(channel, printed, heard, ASK_LOG))
    except (EOFError, BrokenPipeError):
        os._exit(0)
    except BaseException as error:
        with contextlib.suppress(BaseException):
            channel.send({"fault": describe(error)})
    finally:
        # Neither the handlers nor the buffers of the process it was forked from are its own.
        os._exit(1)


def kill_tree(pid: int) -> None:
    """End a process and all that it has started; nothing that it has not."""
    with contextlib.suppress(ProcessLookupError):
        # Stopped, it can start nothing more; and what loses its parent becomes its own child.
        os.kill(pid, signal.SIGSTOP)
        for _ in range(100):
            offspring = descendants(pid)
            if not offspring:
                break
            for each in offspring:
                with contextlib.suppress(OSError):  # gone, or another user's
                    os.kill(each, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """The living processes that a process has started, and those that they have; none where no `/proc` tells."""
    parents = dict(_living())
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def _living() -> Iterable[tuple[int, int]]:
    """Every living process with its parent."""
    try:
        names = [name for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{name}/stat") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
            if state != "Z":
                yield int(name), int(parent)
