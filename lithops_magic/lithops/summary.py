"""Time and cost of an executor's jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lithops_magic.lithops.future import ResponseFuture


def rows(futures: Iterable[ResponseFuture]) -> list[dict[str, Any]]:
    """Return one row per job, under Lithops' names; a job's cost is its share of the invocations' cost."""
    found = []
    groups: dict[str, list[ResponseFuture]] = {}
    for each in futures:
        groups.setdefault(each.job_id, []).append(each)
    for job_id, group in groups.items():
        done = [each for each in group if each.done]
        seconds = [each.stats.get("worker_exec_time", 0.0) for each in done]
        found.append(
            {
                "Job_ID": job_id,
                "Function": done[0].function_name if done else "",
                "Invocations": len(done),
                "Memory(MB)": done[0].runtime_memory if done else 0,
                "AvgRuntime": sum(seconds) / len(seconds) if seconds else 0.0,
                "Cost": sum(map(_cost, done)),
            }
        )
    return found


def _cost(future: ResponseFuture) -> float:
    if future._call is None or future._call.task is None:
        return 0.0
    snapshot = future._call.task[0].snapshot()
    # By billed time: requests are shared like the rest.
    share: float = future.stats.get("worker_billed_ms", 0.0) / snapshot.billed_ms if snapshot.billed_ms else 0.0
    return snapshot.spent * share
