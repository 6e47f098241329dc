"""Keeps a job within the money it may cost."""

from __future__ import annotations

from lithops_magic.engine.backend.endpoint import Endpoint
from lithops_magic.engine.job.snapshot import Snapshot
from lithops_magic.engine.text.units import money
from lithops_magic.errors import BudgetSpent


class Budget:
    """How many invocations in flight a job can still afford.

    What is in flight is assumed to cost what tasks have cost so far and, until the first answer, what tasks that take
    their whole timeout would: the limit is exceeded only by invocations that cost more than those before.

    Parameters
    ----------
    most
        USD at list price; None for no limit.
    """

    def __init__(self, most: float | None) -> None:
        self._most = most

    def affordable(self, now: Snapshot, endpoint: Endpoint, chunk: int) -> float:
        """Return how many invocations of `chunk` tasks may be in flight; less than 1 if the money is spent."""
        if self._most is None:
            return float("inf")
        spent = now.cost + now.request_cost
        answered = now.answered
        worst = endpoint.price(endpoint.limits.timeout * 1000)
        each = min(worst, now.cost / answered * chunk) if answered else worst
        left = (self._most - spent) / (each + endpoint.request_price)
        # Before anything is known, one invocation tells what the others will cost.
        return left if answered or spent else max(1.0, left)

    def spent(self, now: Snapshot) -> BudgetSpent:
        """Return the error that says so."""
        so_far = money(now.cost + now.request_cost)
        return BudgetSpent(
            f"The job has cost {so_far} of the {money(self._most or 0.0)} that max_cost allows: nothing more is sent. "
            "Raise the total (--max-cost), or run what is left with .retry(max_cost=…)."
        )
