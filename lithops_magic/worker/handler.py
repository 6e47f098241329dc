"""Runs in the sandbox: calls a function with each item of a chunk and reports each outcome by itself.

The worker needs only Python's standard library and cloudpickle. `engine/payload.py` is the other end of its format.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import CoroutineType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from .archive import install_archives
from .capture import LIMIT, captured
from .report import report
from .sources import install

PROTOCOL = 1
REPLY_LIMIT = 6_291_556 - 4096
"""Bytes for the outcomes of one reply: AWS's limit (6 MiB + 100) less room for the rest of the reply."""
DEADLINE_MARGIN = 0.5
"""Seconds kept to send the reply before the platform's own time-out, or a tenth of what is left if that is less."""

_SANDBOX = os.urandom(6).hex()
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_functions: dict[str, Callable[[Any], Any]] = {}
_cold = True


class TaskTimeout(BaseException):
    """The function's time is up; no `except Exception` of the user's may swallow it."""

    def __str__(self) -> str:
        return "the function's time was up"


class _Alarm:
    """Raises `TaskTimeout` in the user's code shortly before the platform would kill the sandbox."""

    def __init__(self, seconds: float) -> None:
        self.rang = self._armed = False
        # Signals reach the main thread of a POSIX process only; elsewhere the platform's kill has to do.
        self._usable = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
        if self._usable:
            self._previous = signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, max(0.001, seconds - min(DEADLINE_MARGIN, seconds / 10)))

    def _ring(self, *_: object) -> None:
        self.rang = True
        if self._armed:
            self._armed = False
            raise TaskTimeout

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        self._armed = not self.rang
        try:
            yield
        finally:
            self._armed = False

    def stop(self) -> None:
        if self._usable:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._previous)


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point."""
    global _cold
    reply = {"protocol": PROTOCOL, "sandbox": _SANDBOX, "cold": _cold, "python": _PYTHON}
    _cold = False
    if problem := _mismatch(event) or install_archives():
        return {**reply, "error": problem}
    if install(event.get("sources")):
        _functions.clear()
    alarm = _Alarm(context.get_remaining_time_in_millis() / 1000)
    try:
        outcomes = _run_all(event, alarm)
        return {**reply, "outcomes": outcomes, "versions": _other_versions(event.get("versions", {}))}
    finally:
        alarm.stop()


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


def _run_all(event: dict[str, Any], alarm: _Alarm) -> list[dict[str, Any]]:
    outcomes: list[dict[str, Any]] = []
    room = REPLY_LIMIT
    for task in event["tasks"]:
        outcome = _run(event["function"], task, alarm)
        size = _size(outcome)
        if size > REPLY_LIMIT:
            outcome = {**_without_value(outcome), "status": "too_large", "size": size}
        elif size > room:
            outcome = {**_without_value(outcome), "status": "dropped"}
        outcomes.append(outcome)
        used = _size(outcome)
        room -= used
        # The client sends again what is missing; running on without room for the results would be in vain.
        if alarm.rang or room < max(LIMIT, used):
            break
    return outcomes


def _size(outcome: dict[str, Any]) -> int:
    return len(outcome.get("value", "")) + len(json.dumps({**outcome, "value": ""}))


def _without_value(outcome: dict[str, Any]) -> dict[str, Any]:
    return {name: outcome[name] for name in ("id", "started", "seconds", "log")}


def _run(function: dict[str, str], task: dict[str, Any], alarm: _Alarm) -> dict[str, Any]:
    started, clock = time.time(), time.perf_counter()
    with captured() as capture:
        try:
            with alarm.armed():
                value = _call(_load_function(function), _load(task["data"], "item"))
        except BaseException as error:  # SystemExit and its like would kill the sandbox, neighbours' results and all
            outcome = {"status": "timeout" if isinstance(error, TaskTimeout) else "error", **report(error)}
        else:
            outcome = _dump(value, alarm)
    timing = {"started": started, "seconds": time.perf_counter() - clock}
    return {"id": task["id"], **outcome, **timing, "log": capture.text()}


def _load_function(function: dict[str, str]) -> Callable[[Any], Any]:
    digest = function["sha256"]
    if digest not in _functions:
        loaded = _load(function["data"], "function")
        _functions.clear()
        _functions[digest] = loaded
    return _functions[digest]


def _load(data: str, what: str) -> Any:
    try:
        return pickle.loads(base64.b64decode(data))
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"No module named {error.name!r} in the sandbox, and the {what} needs it. A sandbox has the standard "
            "library and what the function is seen to use: name the package with --packages.",
            name=error.name,
        ) from None


def _call(function: Callable[[Any], Any], item: Any) -> Any:
    value = function(item)
    if not isinstance(value, CoroutineType):
        return value
    import asyncio  # 20 ms of every cold start, for the few who need it

    return asyncio.run(value)


def _dump(value: Any, alarm: _Alarm) -> dict[str, Any]:
    try:
        with alarm.armed():
            data = cloudpickle.dumps(value, protocol=5)
    except BaseException as error:
        status = "timeout" if isinstance(error, TaskTimeout) else "unpicklable"
        return {"status": status, "of": type(value).__qualname__, **report(error)}
    return {"status": "ok", "value": base64.b64encode(data).decode()}
