"""Runs one task and reports its outcome, whatever the user's code does."""

from __future__ import annotations

import time
from types import CoroutineType
from typing import Any

from . import functions, packing
from .alarm import Alarm, TaskTimeout
from .capture import captured
from .report import report
from .store import Problem, Store


def run(function: functions.Function, task: dict[str, Any], alarm: Alarm, store: Store | None) -> dict[str, Any]:
    """Call the function with the task's item; in the outcome a value is still bytes."""
    started, clock = time.time(), time.perf_counter()
    with captured() as capture:
        try:
            with alarm.armed():
                item = functions.fetch(task, store, "item")
                value = _call(function.load(), functions.load(item, "item"))
        except Problem as problem:
            outcome = refusal(problem)
        except BaseException as error:  # SystemExit and its like would kill the sandbox, neighbours' results and all
            outcome = {"status": "timeout" if isinstance(error, TaskTimeout) else "error", **report(error)}
        else:
            outcome = _dump(value, alarm)
    timing = {"started": started, "seconds": time.perf_counter() - clock}
    return {"id": task["id"], **outcome, **timing, "log": capture.text()}


def refuse(task: dict[str, Any], problem: Problem) -> dict[str, Any]:
    """The outcome of a task that could not be begun."""
    return {"id": task["id"], **refusal(problem), "started": time.time(), "seconds": 0.0, "log": ""}


def refusal(problem: Problem) -> dict[str, Any]:
    return {"status": problem.status, "reason": str(problem)}


def _call(function: Any, item: Any) -> Any:
    value = function(item)
    if not isinstance(value, CoroutineType):
        return value
    import asyncio  # 20 ms of every cold start, for the few who need it

    return asyncio.run(value)


def _dump(value: Any, alarm: Alarm) -> dict[str, Any]:
    try:
        with alarm.armed():
            data = packing.dumps(value)
    except BaseException as error:
        status = "timeout" if isinstance(error, TaskTimeout) else "unpicklable"
        return {"status": status, "of": type(value).__qualname__, **report(error)}
    return {"status": "ok", "value": data}
