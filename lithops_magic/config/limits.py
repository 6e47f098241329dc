"""AWS Lambda's limits, all in one place ("Lambda quotas", AWS Lambda developer guide)."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple


class Range(NamedTuple):
    """Range of valid integers; `high` None means no upper bound."""

    low: int
    high: int | None = None
    unit: str = ""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.high is None:
            return f"a whole number of at least {self.low:,}{unit}"
        return f"a whole number from {self.low:,} to {self.high:,}{unit}"

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.low <= number and (self.high is None or number <= self.high)

    def checked(self, value: Any) -> int:
        """Return an integer, including NumPy's, as int; raise ValueError for anything else or if out of range."""
        try:
            number = operator.index(value)
        except TypeError:
            raise ValueError(value) from None
        if isinstance(value, bool) or number not in self:
            raise ValueError(value)
        return number


MAX_MEMORY = 10_240
MAX_TMP = 10_240
FREE_TMP = 512
"""MB of `/tmp` included in the price."""

MEMORY = Range(128, MAX_MEMORY, "MB")
TIMEOUT = Range(1, 900, "seconds")
TMP = Range(FREE_TMP, MAX_TMP, "MB")
COUNT = Range(1)
RETRIES = Range(0)

KEPT_DAYS = 7
"""Days after which a job's data in S3 and on this machine are deleted."""
