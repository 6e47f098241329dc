"""The process in which this sandbox runs a job's tasks: it serves only that job, and ends when another one comes.

The handler itself runs no user code, so nothing that tasks do to Python can outlive their job. It imports the libraries
that functions need and fetches the parts of large functions, once for all jobs. A job with its own environment
variables gets a new interpreter, because Python, the C library and other libraries read variables when they start.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
from time import monotonic
from typing import Any, NoReturn

from . import functions
from .answer import answer
from .archive import ARCHIVES, install_archives
from .capture import Log
from .channel import Channel
from .environment import clean_tmp
from .fault import Fault
from .process import CHECK_INTERVAL, Process, receive_any, run_child
from .store import Store, forget

_imported: set[str] = set()
_key: object = None
_process: Process | None = None


def run(event: dict[str, Any], head: dict[str, Any], end: float) -> dict[str, Any]:
    """Have the job's process answer a request, and return the reply.

    Parameters
    ----------
    head
        What every reply says about its sandbox.
    end
        When the platform kills the sandbox, on the monotonic clock.

    Raises
    ------
    Fault
        The worker itself failed.
    """
    process = _job_process(event, head, end)
    try:
        # Discard what threads have printed since the last request: it belongs to no task of this one.
        process.read_output()
        process.take()
        process.channel.send((event, head, end))
        reply: dict[str, Any] = _wait(process)
    except OSError:
        exit_like(process.end(silent=True))
    # Without a key nothing identifies the next request's job, so it must not find this one's process.
    if _key is None:
        end_process()
    if "fault" in reply:
        raise Fault(reply["fault"])
    return reply


def _job_process(event: dict[str, Any], head: dict[str, Any], end: float) -> Process:
    """Return the process of this request's job, starting it for the job's first request."""
    global _key, _process
    sources = event.get("sources") or {}
    env = event.get("env", {})
    # Everything that shapes the process when it starts: a request that differs in any of it needs another process.
    key = (event["key"], event["function"].get("sha256"), sources.get("sha256"), env) if event.get("key") else None
    if _process is None or key != _key:
        # If nothing has to be loaded, it dies while the next one starts, which gets no work before that.
        dying = _process if _process and _is_loaded(event, head) and _process.kill() else None
        if dying is None:
            # In this order: the old process could still write to /tmp, and the archives are unpacked there.
            end_process()
            clean_tmp()
            if "error" not in head and (problem := install_archives()):
                head["error"], key = problem, None
        # A new interpreter would inherit neither modules nor memory.
        if not env:
            _import(event.get("imports", ()))
            if "error" not in head:
                _prefetch(event, end)
        process = Process(_serve, dying.descriptors if dying else (), env)
        if dying is not None:
            end_process()
            clean_tmp()
        _process, _key = process, key
        functions.evict(functions.CACHE_SHARE if env else functions.JOB_SHARE)
        if env:
            _process.channel.send(dict(os.environ))
    return _process


def _is_loaded(event: dict[str, Any], head: dict[str, Any]) -> bool:
    """Whether a job needs nothing beyond its request and what this process has imported."""
    if ARCHIVES or "error" in head or event.get("env"):
        return False
    return {*event["function"]} <= {"data", "sha256"} and _imported.issuperset(event.get("imports", ()))


def end_process() -> None:
    """Kill the job's process and everything it has started."""
    global _key, _process
    process, _process, _key = _process, None, None
    if process is not None:
        process.end()


def _import(names: list[str]) -> None:
    for name in names:
        if name not in _imported:
            _imported.add(name)
            with contextlib.suppress(BaseException):  # the task that needs it will report the error
                importlib.import_module(name)


def _prefetch(event: dict[str, Any], end: float) -> None:
    store = Store(event["store"], left=lambda: end - monotonic()) if "store" in event else None
    functions.prefetch(event["function"], store)
    forget()


def _wait(process: Process) -> Any:
    while True:
        for _, message in receive_any([process], CHECK_INTERVAL):
            if message is None:
                exit_like(process.end(silent=True))
            return message


def exit_like(code: int) -> None:
    """Exit as the job's process did, so that the platform reports what it would without that process."""
    if code < 0:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def exec_main(incoming: int, outgoing: int, printed: int) -> NoReturn:
    """Serve a job in a newly started interpreter."""
    run_child(_serve_fresh, Channel(incoming, outgoing), printed)


def _serve_fresh(channel: Channel, log: Log) -> None:
    # The job's own variables are set only while tasks run; they are not for the worker itself.
    os.environ.clear()
    os.environ.update(channel.receive())
    import site

    # As the runtime does for the handler's interpreter.
    site.setquit()
    for folder in os.environ["PYTHONPATH"].split(os.pathsep):
        site.addsitedir(folder)
    _serve(channel, log)


def _serve(channel: Channel, log: Log) -> None:
    """Serve requests as a job's process, until its parent ends."""
    while True:
        event, head, end = channel.receive()
        channel.send(answer(event, head, end, log))
