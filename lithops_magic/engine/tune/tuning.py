"""What was measured at several sizes, and which of them is the cheapest, the fastest, or a bit of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

CHOICES = ("cheapest", "balanced", "fastest")

_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
"""Student's t for 95 % on both sides, by degrees of freedom; beyond, the normal distribution's 2."""
_AS_FAST = 1.03
"""What is within that factor of the best is as good: the other criterion decides."""


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """What a function is given."""

    memory: int
    """MB."""
    architecture: str = "x86_64"


@dataclass(frozen=True, slots=True)
class Measured:
    """What tasks took at one size; each is measured in a sandbox that has run it before."""

    size: Size
    seconds: tuple[float, ...] = ()
    """Of each item."""
    costs: tuple[float, ...] = ()
    """USD at list price of each item, its request included."""
    used: int = 0
    """MB that the hungriest needed."""
    problem: str = ""
    """Why there is no measurement, or why this size does not do."""

    @property
    def time(self) -> float:
        """Seconds of a task, on average."""
        return fmean(self.seconds)

    @property
    def cost(self) -> float:
        """USD of a task, on average."""
        return fmean(self.costs)

    @property
    def does(self) -> bool:
        """Whether tasks of this size can be run."""
        return not self.problem and bool(self.seconds)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job will probably cost, at list price."""

    usd: float
    low: float
    high: float
    """Between them with 95 % confidence, if the items that were measured are like the others."""
    measured: int
    """Items."""

    @classmethod
    def of(cls, costs: Sequence[float], tasks: int) -> Estimate:
        """Estimate what so many tasks cost from what a few did."""
        mean = fmean(costs)
        # Of one alone nothing is known: it may as well be one in ten, or ten times the usual.
        low, high = mean / 10, mean * 10
        if len(costs) > 1:
            freedom = len(costs) - 1
            student = _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else 2.0
            margin = student * stdev(costs) / math.sqrt(len(costs))
            # No task costs less than nothing, nor all of them less than those that were measured.
            low, high = max(mean - margin, sum(costs) / max(tasks, len(costs))), mean + margin
        return cls(mean * tasks, low * tasks, high * tasks, len(costs))


@dataclass(frozen=True, slots=True)
class Tuning:
    """What `tune` has measured; its repr is a table."""

    measured: tuple[Measured, ...]
    """By size."""
    base: Size
    """What is configured."""
    items: int
    """Those that were measured."""
    total: int | None = None
    """All items of the job; None if they come from an iterator."""
    spent: float = 0.0
    """USD at list price."""
    local: bool = False
    shared: bool = True
    """Whether more memory means more CPU there, as it does on AWS."""
    notes: tuple[str, ...] = ()
    label: str = field(default="", compare=False)

    @property
    def candidates(self) -> list[Measured]:
        """The sizes that may be chosen; none where memory buys no CPU, because nothing else would be compared."""
        return [one for one in self.measured if one.does] if self.shared else []

    def choice(self, name: str) -> Size | None:
        """Return the size of that name, one of `CHOICES`; None if nothing was compared."""
        found = self.candidates
        if not found:
            return None
        least_cost, least_time = min(one.cost for one in found), min(one.time for one in found)
        if name == "cheapest":
            cheap = [one for one in found if one.cost <= least_cost * _AS_FAST]
            return min(cheap, key=lambda one: (one.time, one.size)).size
        if name == "fastest":
            fast = [one for one in found if one.time <= least_time * _AS_FAST]
            return min(fast, key=lambda one: (one.cost, one.size)).size
        # Each in shares of the worst, in equal parts: as AWS Lambda Power Tuning balances.
        most_cost, most_time = max(one.cost for one in found), max(one.time for one in found)
        return min(found, key=lambda one: (one.cost / most_cost + one.time / most_time, one.size)).size

    def estimate(self, size: Size, tasks: int) -> Estimate | None:
        """Return what so many tasks will cost at a size; None if it was not measured."""
        return next((Estimate.of(one.costs, tasks) for one in self.measured if one.size == size and one.does), None)

    @property
    def cheapest(self) -> Size | None:
        """The size at which a task costs least."""
        return self.choice("cheapest")

    @property
    def balanced(self) -> Size | None:
        """The size at which time and cost, each in shares of the worst, are least together."""
        return self.choice("balanced")

    @property
    def fastest(self) -> Size | None:
        """The size at which a task takes least time."""
        return self.choice("fastest")

    def __repr__(self) -> str:
        from lithops_magic.engine.tune.view import to_text

        return to_text(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from lithops_magic.engine.tune.view import to_html

        return {"text/plain": repr(self), "text/html": to_html(self)}
