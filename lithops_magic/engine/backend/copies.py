"""How many times to deploy a job's function: AWS limits how fast each function scales, whatever it runs."""

from __future__ import annotations

import math

from lithops_magic.engine.backend import limiter

MAX_COPIES = 30
"""Maximum functions: thirty thousand sandboxes at once are more than one process can look after."""


def wanted(workers: int | None, tasks: int | None) -> int:
    """Return how many functions are worthwhile for a job.

    Parameters
    ----------
    workers
        Concurrent invocations requested by the user; if None, one function suffices.
    tasks
        Number of tasks; None if unknown.
    """
    at_once = workers or 1
    return needed(at_once if tasks is None else min(at_once, tasks))


def needed(sandboxes: int) -> int:
    """Return how many functions it takes for AWS to start that many sandboxes at once."""
    # AWS's scaling rate is a quota of each function (Lambda quotas: 1,000 sandboxes per ten seconds).
    return max(1, min(MAX_COPIES, math.ceil(sandboxes / limiter.BURST)))
