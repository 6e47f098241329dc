"""Measures sandboxes' memory, and watches the busy ones so that none exceeds its function's limit."""

# ruff: noqa: PTH123, PTH208 - pathlib takes twice as long, and every sandbox is looked at fifty times a second

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

# Memory is polled because nothing else works for every user: RLIMIT_AS limits addresses, of which pandas alone needs
# more than 1 GB, and a control group needs privileges.
INTERVAL = 0.02 if sys.platform == "linux" else 0.1
"""Seconds between samples; longer outside Linux, where each one scans all processes."""


class Sampled(Protocol):
    def sample(self) -> None: ...


class MemoryWatch:
    """One asyncio task for all sandboxes, running only while some are busy."""

    def __init__(self) -> None:
        self._processes: set[Sampled] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, process: Sampled) -> None:
        self._processes.add(process)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def discard(self, process: Sampled) -> None:
        self._processes.discard(process)

    def close(self) -> None:
        if self._task:
            self._task.cancel()

    async def _run(self) -> None:
        await asyncio.sleep(INTERVAL)
        while self._processes:
            for process in list(self._processes):
                process.sample()
            await asyncio.sleep(INTERVAL)


def descendants(root: int, supervisors: int) -> list[int]:
    """Return the processes below `root`, leaving out the first `supervisors` generations."""
    if sys.platform != "linux":
        return _descendants_elsewhere(root, supervisors)
    generation = [root]
    found: list[int] = []
    while generation:
        generation = [child for pid in generation for child in _children(pid)]
        supervisors -= 1
        if supervisors < 0:
            found += generation
    return found


def resident(pids: Iterable[int]) -> int:
    """Return the resident bytes of `pids`; shared memory counts once per process."""
    return sum(map(_resident, pids))


def proportional(pids: Iterable[int]) -> int:
    """Return the resident bytes of `pids`; shared memory counts once, where the system reports it."""
    return sum(map(_proportional if sys.platform == "linux" else _resident, pids))


def peak(pid: int) -> int:
    """Return the peak resident bytes of one process, or 0 where the system does not record it."""
    with suppress(OSError, ValueError, IndexError):
        return int(_read(f"/proc/{pid}/status").split("VmHWM:", 1)[1].split(None, 1)[0]) * 1024
    return 0


def is_running(pid: int) -> bool:
    """Whether the process exists and is neither stopped nor a zombie; only where there is `/proc`."""
    with suppress(OSError, IndexError):
        return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] not in "TtZX"
    return False


def _read(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        return file.read().decode(errors="replace")


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [
            int(child)
            for task in os.listdir(f"/proc/{pid}/task")
            for child in _read(f"/proc/{pid}/task/{task}/children").split()
        ]
    return []


def _resident(pid: int) -> int:
    if sys.platform != "linux":
        return _resident_elsewhere(pid)
    with suppress(OSError, IndexError):
        return int(_read(f"/proc/{pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _proportional(pid: int) -> int:
    with suppress(OSError, ValueError):
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _descendants_elsewhere(root: int, supervisors: int) -> list[int]:
    import psutil

    with suppress(psutil.Error):
        children = psutil.Process(root).children()
        if supervisors == 0:
            return [child.pid for child in psutil.Process(root).children(recursive=True)]
        return [pid for child in children for pid in _descendants_elsewhere(child.pid, supervisors - 1)]
    return []


def _resident_elsewhere(pid: int) -> int:
    import psutil

    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0
