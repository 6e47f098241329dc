"""Asynchronous invocations: their replies go nowhere, and AWS may deliver them more than once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .store import Store

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class NotDone(Exception):
    """Raised so that Lambda redelivers the event: some task has no stored result."""


def answer(event: dict[str, Any], run: Answer) -> dict[str, Any]:
    """Run the tasks that may be run now, and store their outcomes.

    A task may be started `runs` times: each start claims one more object, which only its first writer gets.
    """
    location = event["store"]
    store = Store(location, bytes.fromhex(event["key"]))
    tasks = [] if store.has("cancelled") else event["tasks"]  # the notebook writes that object
    runs = {task["id"]: _claim_run(store, task["id"], location["runs"]) for task in tasks}
    tasks = [task for task in tasks if runs[task["id"]]]
    if not tasks:
        return {}
    last = max(runs.values()) == location["runs"]
    again = [] if last else ["timeout", *location.get("again", ())]
    reply = run({**event, "tasks": tasks, "store": {**location, "again": again}})
    if error := reply.get("error"):
        for task in tasks:
            failure = {"status": "store", "reason": error, "started": 0.0, "seconds": 0.0, "log": ""}
            store.save(task["id"], {"id": task["id"], **failure})
        return {}
    stored = {outcome["id"] for outcome in reply["outcomes"] if outcome.get("kept")}
    unstored = [task["id"] for task in tasks if task["id"] not in stored]
    return {"not_done": f"tasks {unstored} have no result in S3"} if unstored else {}


def _claim_run(store: Store, task: int, runs: int) -> int:
    """Claim a run of a task; return its number, or 0 if the task must not be run."""
    for run in range(1, runs + 1):
        # The first run need not look, which saves a request: there can be no result yet.
        if run == 2 and store.has(str(task)):
            return 0
        if store.claim(f"run-{task}-{run}"):
            return run
    return 0
