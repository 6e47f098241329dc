"""Keeps a job within its cost limit."""

from __future__ import annotations

from lithops_magic.engine.backend.endpoint import Endpoint
from lithops_magic.engine.job.snapshot import Snapshot
from lithops_magic.engine.text.units import money
from lithops_magic.errors import BudgetSpent


class Budget:
    """How many concurrent invocations a job can still afford.

    Invocations in flight are assumed to cost the average so far or, until the first reply, what a timeout would cost:
    only invocations more expensive than those before can exceed the limit.

    Parameters
    ----------
    most
        USD at list price; None for no limit.
    """

    def __init__(self, most: float | None) -> None:
        self._most = most

    def affordable(self, now: Snapshot, endpoint: Endpoint, chunk: int) -> float:
        """Return how many invocations of `chunk` tasks may be in flight; less than 1 if the budget is spent."""
        if self._most is None:
            return float("inf")
        # A job that is rerun carries its costs along: the limit applies to all its runs together.
        spent = now.spent
        answered = now.answered
        worst = endpoint.price(endpoint.limits.timeout * 1000)
        # However many tasks it has, an invocation cannot cost more than its timeout.
        each = min(worst, now.cost / answered * chunk) if answered else worst
        left = (self._most - spent) / (each + endpoint.request_price)
        # Before anything is known, a single invocation measures the cost.
        return left if answered or spent else max(1.0, left)

    def spent(self, now: Snapshot) -> BudgetSpent:
        """Return the error that reports it."""
        so_far = money(now.spent)
        return BudgetSpent(
            f"The job has cost {so_far} of the {money(self._most or 0.0)} that max_cost allows: nothing more is sent. "
            "Raise the total (--max-cost), or run what is left with .retry(max_cost=…)."
        )
