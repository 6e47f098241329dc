"""Finds invocations that take far longer than their peers near the end of a job."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable

from lithops_magic.engine.dispatch.lanes import Flight

FACTOR = 3.0
"""Multiple of the median that a single-task invocation must exceed, as in Spark's `spark.speculation.multiplier`."""
MIN_SECONDS = 1.0
"""A shorter invocation is not a straggler: its copy may well need a cold start."""
MIN_SHARE = 0.75
"""Share of tasks that must have ended, as in Spark's `spark.speculation.quantile` before version 4."""
PERIOD = 0.25
"""Seconds between checks."""
_MAX_COPIES = 2
"""Copies of an invocation: the second is sent if the first is lost."""
_REMEMBERED = 20_000
"""Durations kept: more than invocations in flight. The last ones to arrive are the slow ones, and their median alone
would make no invocation look slow."""


class Stragglers:
    """Learns how long invocations take, overhead included, and identifies those that take far longer."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def observe(self, flight: Flight, now: float) -> None:
        """Record an answered invocation."""
        # Per task, so that chunks of different sizes compare.
        self._seconds.append((now - flight.sent_at) / len(flight.tasks))

    def among(self, flights: Iterable[Flight], now: float) -> list[Flight]:
        """Return the invocations that deserve a copy, oldest first."""
        if not self._seconds:
            return []
        # The median: a few stragglers among those that were answered do not raise it.
        usual = statistics.median(self._seconds)
        return [
            flight
            for flight in flights
            if now - flight.sent_at > max(MIN_SECONDS, usual * _most(len(flight.tasks)))
            and (not flight.copied or (flight.copied < _MAX_COPIES and flight.uncopied()))
        ]


def _most(tasks: int) -> float:
    """How many medians an invocation may take: durations add up, their spread grows only with the square root."""
    return tasks + (FACTOR - 1) * math.sqrt(tasks)
