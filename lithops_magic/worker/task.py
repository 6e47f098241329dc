"""Runs one task and reports its outcome, whatever user code does."""

from __future__ import annotations

import contextlib
from time import perf_counter, time
from types import CoroutineType
from typing import Any

from . import functions, packing, values
from .alarm import Alarm, TimeIsUp
from .capture import Log, encodable
from .cell import Namespace
from .environment import ProcessState
from .report import report
from .store import Store, StoreError


class Runner:
    """Runs the tasks of one request.

    Parameters
    ----------
    function
        Called with their items.
    store
        Holds items that do not fit in the request.
    with_locals
        Whether to report an error with the variables of the failing frame.
    starmap
        Whether to unpack an item into the function's arguments.
    """

    def __init__(
        self, function: functions.Function, store: Store | None, with_locals: bool = False, starmap: bool = False
    ) -> None:
        self._function = function
        self._starmap = starmap
        self.store = store
        self._with_locals = with_locals
        self._state = ProcessState()

    def prepare(self, alarm: Alarm) -> None:
        """Unpickle the function now; if that fails, each task reports it."""
        with contextlib.suppress(BaseException), alarm.armed():
            self._function.load()

    def run(self, task: dict[str, Any], alarm: Alarm, log: Log) -> dict[str, Any]:
        """Call the function with the task's item; the outcome's value is still bytes.

        Parameters
        ----------
        log
            Returns what was printed since the last call.
        """
        started, clock = time(), perf_counter()
        with Namespace() as namespace:
            try:
                with alarm.armed():
                    item = functions.fetch(task, self.store, "item")
                    function = self._function.load()
                    namespace.save(function)
                    Namespace.task = task["id"]  # read by `data/inside`
                    loaded = functions.unpickled("item", packing.loads, item)
                    returned = _call(function, loaded if self._starmap else (loaded,))
                    value = values.result_of(returned)
            except StoreError as problem:
                outcome = refusal(problem)
            except BaseException as error:  # SystemExit and the like would kill the sandbox with all of its tasks
                status = "timeout" if isinstance(error, TimeIsUp) else "error"
                outcome = {"status": status, **report(error, self._with_locals)}
            else:
                outcome = self._dump(value, alarm)
                # What a task only displayed must not fail it.
                if returned is None and outcome["status"] == "unpicklable":
                    outcome = self._dump(None, alarm)
        timing = {"started": started, "seconds": perf_counter() - clock}
        self._state.restore()
        return {"id": task["id"], **outcome, **timing, "log": log()}

    def _dump(self, value: Any, alarm: Alarm) -> dict[str, Any]:
        try:
            with alarm.armed():
                return {"status": "ok", "value": packing.dumps(value)}
        except TimeIsUp as error:
            return {"status": "timeout", **report(error, self._with_locals)}
        except BaseException as error:
            return {
                "status": "unpicklable",
                "of": type(value).__qualname__,
                "reason": _culprit(value, error, alarm),
            }


def refuse(task: dict[str, Any], problem: StoreError) -> dict[str, Any]:
    """Return the outcome of a task that could not be started."""
    return {"id": task["id"], **refusal(problem), "started": time(), "seconds": 0.0, "log": ""}


def refusal(problem: StoreError) -> dict[str, Any]:
    return {"status": problem.status, "reason": str(problem)}


def _call(function: Any, arguments: Any) -> Any:
    value = function(*arguments)
    if not isinstance(value, CoroutineType):
        return value
    import asyncio  # takes 20 ms, so only if needed

    return asyncio.run(value)


def _culprit(value: Any, error: BaseException, alarm: Alarm) -> str:
    try:
        from .culprit import locate

        with alarm.armed():
            return encodable(locate(value, "result", error))
    except BaseException:  # user objects may raise anything
        return type(error).__name__
