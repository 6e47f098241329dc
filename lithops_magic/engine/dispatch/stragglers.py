"""Finds the invocations that take far longer than their peers, near the end of a job."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable

from lithops_magic.engine.dispatch.lanes import Flight

FACTOR = 3.0
"""Times the median that an invocation of one task must have taken, as in Spark's `spark.speculation.multiplier`."""
LEAST_SECONDS = 1.0
"""An invocation that has not taken that long is not a straggler: a copy may well start cold."""
LEAST_SHARE = 0.75
"""Share of the tasks that must have ended, as in Spark's `spark.speculation.quantile` before version 4."""
PERIOD = 0.25
"""Seconds between two looks."""
_MOST_COPIES = 2
"""Of an invocation: the second one if the first one is lost."""
_REMEMBERED = 20_000
"""Answers: more than are in flight at once. The last to come are the slow ones, and a median of those alone would find
nobody slow."""


class Stragglers:
    """Learns how long tasks take with all that is around them, and names the invocations that are far beyond it."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def observe(self, flight: Flight, now: float) -> None:
        """Record an invocation that was answered."""
        self._seconds.append((now - flight.sent_at) / len(flight.tasks))

    def among(self, flights: Iterable[Flight], now: float) -> list[Flight]:
        """Return those that deserve a copy, the oldest first."""
        if not self._seconds:
            return []
        usual = statistics.median(self._seconds)
        return [
            flight
            for flight in flights
            if now - flight.sent_at > max(LEAST_SECONDS, usual * _most(len(flight.tasks)))
            and (not flight.copied or (flight.copied < _MOST_COPIES and flight.uncopied()))
        ]


def _most(tasks: int) -> float:
    """How many medians an invocation may take: of several tasks the times add up, and their spread by its root only."""
    return tasks + (FACTOR - 1) * math.sqrt(tasks)
