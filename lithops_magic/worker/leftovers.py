"""Threads and processes that tasks have left running: they outlive them, and their output is in no task's log."""

# ruff: noqa: PTH123, PTH208 - importing pathlib would slow every cold start

from __future__ import annotations

import contextlib
import os
import sys
import threading

from .report import LIBRARIES

MAX_NAMED = 5
"""Maximum leftovers to name."""
_HELPERS = (b"multiprocessing", b"loky")
"""Marks in the command line of processes that libraries keep for reuse."""


def leftovers() -> list[str]:
    """Name processes, and threads that run user code."""
    found = [f"thread {thread.name}" for thread in _threads()] if threading.active_count() > 1 else []
    return [name[:80] for name in (*found, *_processes())][:MAX_NAMED]


def _threads() -> list[threading.Thread]:
    frames = sys._current_frames()
    ours = (threading.main_thread(), threading.current_thread())
    others = [thread for thread in threading.enumerate() if thread not in ours]
    return [thread for thread in others if _runs_user_code(frames.get(thread.ident or 0))]


def _runs_user_code(frame: object) -> bool:
    while frame is not None:
        if not frame.f_code.co_filename.startswith(LIBRARIES):  # type: ignore[attr-defined]
            return True
        frame = frame.f_back  # type: ignore[attr-defined]
    return False


def _processes() -> list[str]:
    found = []
    for child in _children():
        with contextlib.suppress(OSError):
            with open(f"/proc/{child}/stat") as status, open(f"/proc/{child}/cmdline", "rb") as command:
                name, _, state = status.read().partition("(")[2].rpartition(")")
                words = command.read()
            if state.split()[0] != "Z" and not any(helper in words for helper in _HELPERS):
                found.append(f"process {name}")
    return found


def _children() -> list[str]:
    """Return this process's children; none where the kernel does not list them: scanning all processes is slow."""
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children") as file:
                found += file.read().split()
    return found
