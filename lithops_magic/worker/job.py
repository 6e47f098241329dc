"""The process in which this sandbox runs a job's tasks: it has seen no other job's, and ends when another job comes.

The handler itself runs no code of the user's, so that nothing that tasks do to Python can outlive their job. It imports
the libraries that functions need, once for all jobs.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
from typing import Any

from .answer import answer
from .archive import install_archives
from .capture import Log
from .channel import Channel
from .fault import Fault
from .process import Process, attend
from .room import tidy

LOOK = 0.5
"""Seconds after which to look whether the process has ended: what it has started may hold its pipes."""

_imported: set[str] = set()
_key: object = None
_process: Process | None = None


def run(event: dict[str, Any], head: dict[str, Any], end: float) -> dict[str, Any]:
    """Have the job's process answer a request, and return the reply.

    Parameters
    ----------
    head
        What every reply says of its sandbox.
    end
        When the platform ends the sandbox, on the monotonic clock.

    Raises
    ------
    Fault
        The worker itself failed.
    """
    process = _of_job(event, head)
    try:
        # What threads have printed since the last request is no task's of this one.
        process.hear()
        process.take()
        process.channel.send((event, head, end))
        reply: dict[str, Any] = _wait(process)
    except OSError:
        die_like(process.end(silent=True))
    if _key is None:
        finish()
    if "fault" in reply:
        raise Fault(reply["fault"])
    return reply


def _of_job(event: dict[str, Any], head: dict[str, Any]) -> Process:
    """Return the process of this request's job, which it is the first to have unless it came before."""
    global _key, _process
    sources = event.get("sources") or {}
    key = (event["key"], event["function"].get("sha256"), sources.get("sha256")) if event.get("key") else None
    if _process is None or key != _key:
        finish()
        tidy()
        if "error" not in head and (problem := install_archives()):
            head["error"], key = problem, None
        # Variables of the job's own must be there when a library is imported.
        if not event.get("env"):
            _import(event.get("imports", ()))
        _process, _key = Process(_live), key
    return _process


def finish() -> None:
    """End the job's process, with all that it has started."""
    global _key, _process
    process, _process, _key = _process, None, None
    if process is not None:
        process.end()


def _import(names: list[str]) -> None:
    for name in names:
        if name not in _imported:
            _imported.add(name)
            with contextlib.suppress(BaseException):  # the task that needs it will say what is wrong
                importlib.import_module(name)


def _wait(process: Process) -> Any:
    while True:
        for _, message in attend([process], LOOK):
            if message is None:
                die_like(process.end(silent=True))
            return message


def die_like(code: int) -> None:
    """End as the job's process did: the platform reports that as it would without one."""
    if code < 0:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _live(channel: Channel, log: Log) -> None:
    """The life of a job's process."""
    while True:
        event, head, end = channel.receive()
        channel.send(answer(event, head, end, log))
