"""One operating-system process of a sandbox: started under the launcher, watched, killed, and its output read."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from lithops_magic.local.sandbox import memory_limit
from lithops_magic.local.sandbox.cpu_share import CpuShare
from lithops_magic.local.sandbox.isolation import launcher_command
from lithops_magic.local.sandbox.runtime_api import RuntimeApi

ON_DISK = 1 << 20
"""Bytes of output after which what has been read is released to the file system."""
IN_MEMORY = 16 << 20
"""Most bytes of one invocation's output to keep; a runaway print must not fill the server's memory."""


class Output:
    """The file a process and everything it spawns write to, read to its end after each reply.

    Unlike a pipe, a file cannot fill up, and everything written before the reply is in it.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.open("ab")
        self._reader = path.open("rb")
        self._freed = 0
        self._drained = bytearray()

    def read(self) -> bytes:
        """Return what was written since the last call; only the end if it is very long."""
        self._drain()
        new = bytes(self._drained)
        self._drained.clear()
        return new

    def limit_size(self) -> None:
        if os.fstat(self._reader.fileno()).st_size - self._reader.tell() > ON_DISK:
            self._drain()

    def close(self) -> None:
        self.file.close()
        self._reader.close()

    def _drain(self) -> None:
        while part := self._reader.read(ON_DISK):
            self._drained += part
            del self._drained[:-IN_MEMORY]
        position = self._reader.tell()
        if position - self._freed > ON_DISK:
            self._freed = position
            if not free(self.file.fileno(), position):
                self.file.truncate(0)
                self._reader.seek(0)
                self._freed = 0


def free(descriptor: int, size: int) -> bool:
    """Release the file's first `size` bytes to the file system without moving what follows."""
    if sys.platform != "linux":
        return False
    import ctypes

    # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    fallocate = ctypes.CDLL(None).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return bool(fallocate(descriptor, 3, 0, size) == 0)


class SandboxProcess:
    """The launcher, the function's process below it, and everything that one spawns.

    Attributes
    ----------
    exited
        Done when the process has exited: its exit status, or minus the number of the signal that killed it.
    out_of_memory
        It exceeded `limit` and was killed for that.
    """

    def __init__(
        self, api: RuntimeApi, output: Output, supervisors: int, limit: int, share: CpuShare | None = None
    ) -> None:
        self.api = api
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.out_of_memory = False
        self.peak = 0
        self._shared = 0
        """Bytes shared among processes, as last measured."""
        self._output = output
        self._supervisors = supervisors
        self._limit = limit
        self._share = share
        self._pids: list[int] = []
        self._frozen: set[int] = set()
        self._popen: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None

    def start(self, specification: bytes) -> None:
        """Start the launcher; the new process polls `api` for events when it is ready."""
        variables = ("LD_LIBRARY_PATH", "SYSTEMROOT")
        # Not in a thread: Linux would treat the thread's end as the parent's death.
        # Nor asyncio's own subprocesses: before Python 3.12, each of them takes a thread.
        self._popen = subprocess.Popen(
            launcher_command(),
            stdin=subprocess.PIPE,
            stdout=self._output.file,
            stderr=subprocess.STDOUT,
            env={name: os.environ[name] for name in variables if name in os.environ},
            start_new_session=True,
            bufsize=0,
        )
        assert self._popen.stdin is not None
        if self._share:
            # Before the specification is sent: children that the launcher starts then inherit the limit.
            self._share.give(self._popen.pid, self._limit >> 20)
        with suppress(BrokenPipeError):
            self._popen.stdin.write(specification)
        if sys.platform == "linux":
            self._pidfd = os.pidfd_open(self._popen.pid)
            asyncio.get_running_loop().add_reader(self._pidfd, self._check_exit)

    def sample(self) -> None:
        """Enforce the memory limit and keep the output file small; called every few milliseconds while busy."""
        self._check_exit()
        if self.exited.done() or self._popen is None:
            return
        self._pids = [*self._descendants()]
        used = memory_limit.resident(self._pids)
        # A single process shares memory with no other.
        if len(self._pids) == 1:
            self._shared = 0
        elif used > self._limit or used - self._shared > self.peak:
            # Near the limit, shared memory is counted only once, which takes longer to measure.
            self._shared = max(0, used - memory_limit.proportional(self._pids))
        self._record_memory(used - self._shared)
        self._output.limit_size()

    def check_peak(self) -> None:
        """Check the memory limit when an invocation has replied: it may have been exceeded between two samples."""
        if self._popen:
            self._pids = [*self._descendants()]
            self._record_memory(max(map(memory_limit.peak, self._pids), default=0))

    def freeze(self) -> None:
        """Stop all running processes below the launcher, and those they start meanwhile."""
        if sys.platform != "linux":
            return
        while running := [pid for pid in self._descendants() - self._frozen if memory_limit.is_running(pid)]:
            for pid in running:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            self._frozen.update(running)

    def thaw(self) -> None:
        """Resume what `freeze` stopped; reused process numbers are left alone."""
        for pid in self._frozen & self._descendants():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen.clear()

    def kill(self) -> None:
        """Kill the process and everything it spawned: the launcher does so when its input closes."""
        if self._popen and not self.exited.done():
            assert self._popen.stdin is not None
            self._popen.stdin.close()

    async def close(self) -> None:
        self.kill()
        if self._popen:
            await asyncio.shield(self.exited)
        self.api.close()

    def _descendants(self) -> set[int]:
        return set(memory_limit.descendants(self._popen.pid, self._supervisors)) if self._popen else set()

    def _record_memory(self, used: int) -> None:
        self.peak = max(self.peak, min(used, self._limit))
        if used > self._limit and not self.exited.done():
            self.out_of_memory = True
            self.kill()

    def _check_exit(self) -> None:
        if self._popen is None or self.exited.done():
            return
        status = self._popen.poll()
        if status is None:
            return
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
        if self._popen.stdin and not self._popen.stdin.closed:
            self._popen.stdin.close()
        if self._share:
            self._share.release(self._popen.pid)
        self.exited.set_result(status)
