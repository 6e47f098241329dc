"""Measurements at several sizes, and which size is cheapest, fastest, or a balance of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

CHOICES = ("cheapest", "balanced", "fastest")

_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
"""Two-sided 95 % quantiles of Student's t by degrees of freedom; beyond, the normal distribution's 2."""
_AS_FAST = 1.03
"""Sizes within this factor of the best are equally good: the other criterion decides."""


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """Memory and architecture of a function."""

    memory: int
    """MB."""
    architecture: str = "x86_64"


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurement at one size; every task is measured in a warm sandbox."""

    size: Size
    seconds: tuple[float, ...] = ()
    """Per item."""
    costs: tuple[float, ...] = ()
    """USD at list price per item, including its request."""
    used: int = 0
    """Peak MB of any item."""
    problem: str = ""
    """Why there is no measurement, or why this size is unsuitable."""

    @property
    def time(self) -> float:
        """Average seconds per task."""
        return fmean(self.seconds)

    @property
    def cost(self) -> float:
        """Average USD per task."""
        return fmean(self.costs)

    @property
    def usable(self) -> bool:
        """Whether tasks can run at this size."""
        return not self.problem and bool(self.seconds)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated cost of a job, at list price."""

    usd: float
    low: float
    high: float
    """`low` and `high` bound the 95 % confidence interval, provided the measured items are representative."""
    measured: int
    """Number of items measured."""

    @classmethod
    def of(cls, costs: Sequence[float], tasks: int) -> Estimate:
        """Estimate the cost of `tasks` tasks from a few measured ones."""
        mean = fmean(costs)
        # A single item says nothing about the spread: assume a tenth to ten times its cost.
        low, high = mean / 10, mean * 10
        if len(costs) > 1:
            freedom = len(costs) - 1
            student = _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else 2.0
            margin = student * stdev(costs) / math.sqrt(len(costs))
            # No task costs less than nothing, and the total is at least that of the measured items.
            low, high = max(mean - margin, sum(costs) / max(tasks, len(costs))), mean + margin
        return cls(mean * tasks, low * tasks, high * tasks, len(costs))


@dataclass(frozen=True, slots=True)
class Tuning:
    """The measurements made by `tune`; its repr is a table."""

    measured: tuple[Measured, ...]
    """Measurements by size."""
    base: Size
    """The configured size."""
    items: int
    """Number of measured items."""
    total: int | None = None
    """Number of items in the job; None if they come from an iterator."""
    spent: float = 0.0
    """USD at list price."""
    local: bool = False
    shared: bool = True
    """Whether more memory means more CPU, as it does on AWS."""
    notes: tuple[str, ...] = ()
    label: str = field(default="", compare=False)

    @property
    def candidates(self) -> list[Measured]:
        """The sizes to choose from; empty if memory does not affect CPU, since only prices would differ."""
        return [one for one in self.measured if one.usable] if self.shared else []

    def choice(self, name: str) -> Size | None:
        """Return the size with that name, one of `CHOICES`; None if nothing was compared."""
        found = self.candidates
        if not found:
            return None
        least_cost, least_time = min(one.cost for one in found), min(one.time for one in found)
        if name == "cheapest":
            # A difference of a few percent is noise.
            cheap = [one for one in found if one.cost <= least_cost * _AS_FAST]
            return min(cheap, key=lambda one: (one.time, one.size)).size
        if name == "fastest":
            fast = [one for one in found if one.time <= least_time * _AS_FAST]
            return min(fast, key=lambda one: (one.cost, one.size)).size
        # Time and cost relative to the worst, weighted equally, as AWS Lambda Power Tuning does.
        most_cost, most_time = max(one.cost for one in found), max(one.time for one in found)
        return min(found, key=lambda one: (one.cost / most_cost + one.time / most_time, one.size)).size

    def estimate(self, size: Size, tasks: int) -> Estimate | None:
        """Return the estimated cost of `tasks` tasks at a size; None if it was not measured."""
        return next((Estimate.of(one.costs, tasks) for one in self.measured if one.size == size and one.usable), None)

    @property
    def cheapest(self) -> Size | None:
        """The size with the lowest cost per task."""
        return self.choice("cheapest")

    @property
    def balanced(self) -> Size | None:
        """The size with the lowest sum of time and cost, each relative to the worst."""
        return self.choice("balanced")

    @property
    def fastest(self) -> Size | None:
        """The size with the shortest time per task."""
        return self.choice("fastest")

    def __repr__(self) -> str:
        from lithops_magic.engine.tune.view import to_text

        return to_text(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from lithops_magic.engine.tune.view import to_html

        return {"text/plain": repr(self), "text/html": to_html(self)}
