"""A forked process of the sandbox, as seen by its parent: its output, its messages, and how it ends."""

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

from . import child
from .capture import Capture, Log
from .channel import Channel, write
from .fault import describe

ASK_LOG = "log"
"""What a process sends to get its output since it last asked."""
_PIPE = 65_536
"""Capacity of a pipe in bytes."""
CHECK_INTERVAL = 0.5
"""Seconds between checks whether a process has ended: its children may hold its pipes open."""
_EXIT_SECONDS = 1.0
"""Seconds that a process may take from closing its pipes to exiting."""

ChildMain = Callable[[Channel, Log], None]


class Process:
    """A process that serves its parent, and ends with it.

    Parameters
    ----------
    main
        Its main function, given the channel to its parent and its output; EOFError ends it.
    private
        The parent's descriptors that it must close.
    env
        Environment of a new interpreter to run the job in; None: only fork.
    """

    def __init__(self, main: ChildMain, private: Iterable[int] = (), env: dict[str, str] | None = None) -> None:
        incoming, theirs_out = os.pipe()
        theirs_in, outgoing = os.pipe()
        self.output, printed = os.pipe()
        # It is also read when there may be nothing in it: before and after each message.
        os.set_blocking(self.output, False)
        self.channel = Channel(incoming, outgoing)
        self.capture = Capture()
        self._line = b""
        # Shared memory: whether the parent is reading output now, and how often it has.
        self._read_state = memoryview(mmap.mmap(-1, 16)).cast("Q")
        self._status: int | None = None
        self._killed = False
        # Otherwise both would write what is buffered.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # a task may have replaced the stream
                stream.flush()
        with warnings.catch_warnings():
            # Python warns of forking with threads: libraries such as BLAS handle that themselves.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            if env:
                _exec((theirs_in, theirs_out, printed), env)
            run_child(main, Channel(theirs_in, theirs_out), printed, self._read_state, [*self.descriptors, *private])
        for descriptor in (theirs_in, theirs_out, printed):
            os.close(descriptor)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that its siblings must close."""
        return *self.channel.descriptors, self.output

    @property
    def reads(self) -> int:
        """How many times its output was read."""
        return self._read_state[1]

    def read_output(self) -> None:
        """Read its output, and pass it on to CloudWatch line by line and to the capture."""
        self._read_state[0] = 1
        with contextlib.suppress(BlockingIOError):
            # One read empties the pipe: it holds no more than that.
            data = os.read(self.output, _PIPE)
            self.capture.add(data)
            self._read_state[1] += 1
            self._line += data
            # Whole lines only, so that those of several processes do not mix.
            self._forward(len(self._line) if len(self._line) > _PIPE else self._line.rfind(b"\n") + 1)
        self._read_state[0] = 0

    def take(self) -> str:
        """Return its output since the last call."""
        self._forward(len(self._line))
        return self.capture.take()

    def _forward(self, size: int) -> None:
        if size:
            write(1, self._line[:size])
            self._line = self._line[size:]

    def is_dead(self) -> bool:
        """Whether it has ended, even if its children still hold its pipes."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def kill(self) -> bool:
        """Kill it and everything it has started without waiting; return whether it was all there was."""
        alone = self._killed or not kill_tree(self.pid)
        self._killed = True
        return alone

    def end(self, *, silent: bool = False) -> int:
        """Kill it and everything it has started; return its exit code, negative for a signal.

        Parameters
        ----------
        silent
            It has closed its pipes and is about to exit on its own, with a more telling status.
        """
        deadline = time.monotonic() + (_EXIT_SECONDS if silent else 0)
        while not self.is_dead() and time.monotonic() < deadline:
            time.sleep(0.001)
        if not self.is_dead():
            self.kill()
            self._status = os.waitpid(self.pid, 0)[1]
        self.read_output()
        self._forward(len(self._line))
        for descriptor in self.descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        assert self._status is not None
        return os.waitstatus_to_exitcode(self._status)


def receive_any(processes: Sequence[Process], timeout: float) -> list[tuple[Process, Any]]:
    """Wait for messages for at most `timeout` seconds; return them by process, None from one that has ended."""
    poll = select.poll()
    for process in processes:
        poll.register(process.output, select.POLLIN)
        poll.register(process.channel.incoming, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(timeout * 1000)}
    news: list[tuple[Process, Any]] = []
    for process in processes:
        if process.output in ready:
            process.read_output()
        if process.channel.incoming in ready:
            news += [(process, message) for message in _receive(process)]
        elif process.is_dead() and not _has_message(process):
            news.append((process, None))
    return news


def _has_message(process: Process) -> bool:
    poll = select.poll()
    poll.register(process.channel.incoming, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


def _receive(process: Process) -> Iterable[Any]:
    try:
        message = process.channel.receive()
        # Everything printed before the message was sent is in the pipe.
        process.read_output()
        if message != ASK_LOG:
            return [message]
        process.channel.send((process.take(), process.reads))
    except (EOFError, OSError):
        return [None]
    return []


def _exec(descriptors: tuple[int, ...], env: dict[str, str]) -> NoReturn:
    """Replace this process with an interpreter that has these variables."""
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        code = f"from {__package__} import handler, job; job.exec_main{descriptors}"
        flags = [flag for flag in sys.orig_argv[1:3] if flag in ("-S", "-s")]
        variables = {**os.environ, **env, "PYTHONPATH": os.environ["PYTHONPATH"]}
        os.execve(sys.executable, [sys.executable, *flags, "-P", "-c", code], variables)
    finally:
        # Otherwise there would be two handlers.
        os._exit(1)


def run_child(
    main: ChildMain,
    channel: Channel,
    printed: int,
    read_state: memoryview[int] | None = None,
    private: Iterable[int] = (),
) -> NoReturn:
    """Run a process's main function; parameters as of `Process` and `Output`."""
    try:
        for descriptor in private:
            os.close(descriptor)
        main(channel, child.set_up(channel, printed, read_state, ASK_LOG))
    except (EOFError, BrokenPipeError):
        os._exit(0)
    except BaseException as error:
        with contextlib.suppress(BaseException):
            channel.send({"fault": describe(error)})
    finally:
        # Skip the exit handlers and buffers inherited from the parent.
        os._exit(1)


def kill_tree(pid: int) -> bool:
    """Kill a process and everything it has started, and nothing else; return whether there was anything."""
    killed = False
    with contextlib.suppress(ProcessLookupError):
        # A stopped process can start nothing more, and orphans become its children.
        os.kill(pid, signal.SIGSTOP)
        # Bounded, because a process of another user cannot be killed.
        for _ in range(100):
            children = descendants(pid)
            if not children:
                break
            killed = True
            for child_pid in children:
                with contextlib.suppress(OSError):  # gone, or another user's
                    os.kill(child_pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
    return killed


def descendants(pid: int) -> list[int]:
    """Return a process's live descendants; none where there is no `/proc`."""
    parents = dict(_live_processes())
    found = [pid]
    for ancestor in found:
        found += [pid for pid, parent in parents.items() if parent == ancestor]
    return found[1:]


def _live_processes() -> Iterable[tuple[int, int]]:
    """Yield every live process with its parent."""
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
