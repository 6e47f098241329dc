"""The cost of each task: the job's cost divided among its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lithops_magic.engine.job.ledger import Table
    from lithops_magic.engine.job.snapshot import Snapshot


def task_costs(table: Table, snapshot: Snapshot) -> NDArray[np.float64]:
    """Return the cost of each task in USD, including requests; the sum is the cost of the job.

    Time and memory are divided by billed time, requests by the number of attempts.
    """
    billed, memory, sent = (np.array(table[name], float) for name in ("billed_ms", "memory_mb", "attempts"))
    used = billed * np.where(memory > 0, memory, snapshot.memory_mb)
    per_use = snapshot.cost / (used.sum() or 1)
    per_sending = snapshot.request_cost / (sent.sum() or 1)
    return np.asarray(used * per_use + sent * per_sending, float)
