"""How often a job's function is deployed: AWS starts sandboxes only so fast for each function, whatever it runs."""

from __future__ import annotations

import math

from lithops_magic.engine.backend import limiter

MOST = 30
"""Copies of a function: thirty thousand sandboxes at once are more than one process looks after."""


def wanted(workers: int | None, tasks: int | None) -> int:
    """Return how many functions a job is worth.

    Parameters
    ----------
    workers
        Invocations in flight requested by the user; if none, one function suffices.
    tasks
        Of the job; None if unknown.
    """
    at_once = workers or 1
    return needed(at_once if tasks is None else min(at_once, tasks))


def needed(sandboxes: int) -> int:
    """Return how many functions AWS starts that many sandboxes for at once."""
    return max(1, min(MOST, math.ceil(sandboxes / limiter.BURST)))
