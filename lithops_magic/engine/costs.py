"""What each task cost: the job's cost, shared out over its tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lithops_magic.engine.ledger import TaskStats
    from lithops_magic.engine.snapshot import Snapshot


def task_costs(stats: Sequence[TaskStats], snapshot: Snapshot) -> list[float]:
    """Return the USD of each task, requests included; their sum is the cost of the job.

    Time and memory are shared out by what each task was billed, requests by how often it was sent.
    """
    used = [task.billed_ms * (task.memory_mb or snapshot.memory_mb) for task in stats]
    sent = [task.attempts for task in stats]
    per_use = snapshot.cost / (sum(used) or 1)
    per_sending = snapshot.request_cost / (sum(sent) or 1)
    return [use * per_use + times * per_sending for use, times in zip(used, sent, strict=True)]
