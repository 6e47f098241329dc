"""Runs in the sandbox: calls a function with each item of a chunk and reports each outcome by itself.

The worker needs only Python's standard library and cloudpickle, and boto3 where data do not fit in a request or reply.
`function`, `item` and `reply` in `engine/wire` are the other end of its format.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from . import functions, stand_in
from .alarm import Alarm
from .archive import install_archives
from .reply import Reply
from .seal import sealed
from .sources import install
from .store import Problem, Store
from .task import Runner, refuse

PROTOCOL = 3

_SANDBOX = os.urandom(6).hex()
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_cold = True
stand_in.install()


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point."""
    if not event.get("store", {}).get("runs"):
        return sealed(_handle(event, context), _key(event), event.get("request", ""))
    from . import detached  # for those who need it

    return detached.handle(event, context, _handle)


def _handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    global _cold
    head = {"protocol": PROTOCOL, "sandbox": _SANDBOX, "cold": _cold, "python": _PYTHON}
    _cold = False
    if problem := _mismatch(event):
        return {**head, "error": problem, "mismatch": True}
    if problem := install_archives():
        return {**head, "error": problem}
    if install(event.get("sources")):
        functions.forget()
    store = Store(event["store"], _key(event)) if "store" in event else None
    alarm = Alarm(context.get_remaining_time_in_millis() / 1000)
    reply = Reply(head, store, alarm)
    try:
        with variables(event.get("env", {})):
            _run_all(event, alarm, store, reply)
    except Problem as problem:
        return {**head, "error": str(problem)}
    finally:
        alarm.stop()
    return reply.close(_other_versions(event.get("versions", {})))


def _key(event: dict[str, Any]) -> bytes:
    """Signs what this job's tasks report; it comes with the request."""
    return bytes.fromhex(event.get("key", ""))


def _other_versions(expected: dict[str, str]) -> dict[str, str]:
    """Versions of packages that the function has imported and that are not the notebook's."""
    loaded = {name: vars(sys.modules[name]) for name in expected if name in sys.modules}
    here = {name: contents.get("__version__", expected[name]) for name, contents in loaded.items()}
    return {name: str(version) for name, version in here.items() if version != expected[name]}


def _mismatch(event: dict[str, Any]) -> str:
    for name, here in (("protocol", PROTOCOL), ("python", _PYTHON), ("cloudpickle", cloudpickle.__version__)):
        if event.get(name) != here:
            return (
                f"The notebook has {name} {event.get(name)}, the function {here}: they must be the same. "
                "If a layer or image brings its own, correct that; else use the function's version in the notebook."
            )
    return ""


def _run_all(event: dict[str, Any], alarm: Alarm, store: Store | None, reply: Reply) -> None:
    try:
        function = functions.Function(event["function"], store)
    except Problem as problem:
        if problem.status == "store":
            raise
        for task in event["tasks"]:
            reply.add(refuse(task, problem))
        return
    runner = Runner(function, store, event.get("locals", False))
    processes = min(event.get("processes", 1), len(event["tasks"]))
    if processes > 1 and hasattr(os, "fork"):
        from .processes import run_all  # 15 ms of every cold start, for those who have more than one CPU

        run_all(event["tasks"], processes, runner, alarm, reply)
        return
    for task in event["tasks"]:
        roomy = reply.add(runner.run(task, alarm))
        if alarm.rang or not roomy:
            break


@contextlib.contextmanager
def variables(changes: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
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
