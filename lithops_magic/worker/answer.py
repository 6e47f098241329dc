"""Answers one request: calls the function with each of its items and reports each outcome separately."""

# ruff: noqa: PTH123 - importing pathlib would slow every cold start

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from . import functions, imports
from .alarm import Alarm
from .capture import Log
from .environment import prepare
from .leftovers import leftovers
from .reply import Reply
from .sources import install
from .store import Store, StoreError
from .task import Runner, refuse


def answer(event: dict[str, Any], head: dict[str, Any], end: float, log: Log) -> dict[str, Any]:
    """Run a request's tasks, and return the reply.

    Parameters
    ----------
    head
        What every reply says about its sandbox.
    end
        When the platform kills the sandbox, on the monotonic clock.
    log
        Returns what was printed since the last call.
    """
    if not event.get("store", {}).get("runs"):
        return _answer(event, head, end, log)
    from . import detached  # only if needed

    return detached.answer(event, lambda changed: _answer(changed, head, end, log))


def _answer(event: dict[str, Any], head: dict[str, Any], end: float, log: Log) -> dict[str, Any]:
    if "error" in head:
        return head
    functions.request = event  # for jobs that tasks start
    alarm = Alarm(end)
    store = Store(event["store"], bytes.fromhex(event.get("key", "")), alarm.left) if "store" in event else None
    reply = Reply(head, store, alarm)
    before = cpu_wait()
    try:
        install(event.get("sources"), head["sandbox"], store)
        # Once more after the handler's: `install` has changed `sys.path`, which child processes are to inherit.
        prepare()
        with variables(event.get("env", {})):
            _run_all(event, alarm, store, reply, log)
    except StoreError as problem:
        if problem.status == "store" and not problem.transient:
            return {**head, "error": str(problem)}
        for task in event["tasks"]:
            reply.add(refuse(task, problem))
    finally:
        alarm.stop()
    after = cpu_wait()
    # With several processes, each one waits separately, which the parent cannot measure.
    single = event.get("processes", 1) == 1
    seconds = after - before if single and before is not None and after is not None else None
    extras = {
        "versions": _other_versions(event.get("versions", {})),
        "left": leftovers(),
        "missing": imports.newly_failed(),
    }
    return reply.close(seconds, extras)


def _other_versions(expected: dict[str, str]) -> dict[str, str]:
    """Return the versions of imported packages that differ from the notebook's."""
    loaded = {name: vars(sys.modules[name]) for name in expected if name in sys.modules}
    here = {name: contents.get("__version__", expected[name]) for name, contents in loaded.items()}
    return {name: str(version) for name, version in here.items() if version != expected[name]}


def _run_all(event: dict[str, Any], alarm: Alarm, store: Store | None, reply: Reply, log: Log) -> None:
    function = functions.Function(event["function"], store)
    for name, value in event.get("rc", {}).items():
        with contextlib.suppress(Exception):  # metadata may be missing or broken
            importlib.import_module("matplotlib").rcParams[name] = value
    runner = Runner(function, store, event.get("locals", False), event.get("starmap", False))
    processes = min(event.get("processes", 1), len(event["tasks"]))
    if processes > 1 and hasattr(os, "fork"):
        from .processes import run_all

        run_all(event["tasks"], processes, runner, alarm, reply, log)
        return
    for task in event["tasks"]:
        has_room = reply.add(runner.run(task, alarm, log))
        if alarm.rang or not has_room:
            break


def cpu_wait() -> float | None:
    """Return the seconds this thread has waited for a CPU; None where the system does not record them."""
    try:
        with open("/proc/thread-self/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


@contextlib.contextmanager
def variables(changes: dict[str, str]) -> Iterator[None]:
    """Set environment variables temporarily."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
