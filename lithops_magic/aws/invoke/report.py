"""The REPORT line that Lambda writes at the end of each invocation's log."""

from __future__ import annotations

import re
from typing import NamedTuple


class InvocationReport(NamedTuple):
    """Resource use of one invocation."""

    duration_ms: float
    billed_ms: int
    """Since August 1, 2025, includes initialization."""
    memory_mb: int
    max_memory_mb: int
    init_ms: float | None = None
    """Duration of the cold start; None if the sandbox was warm."""


# Digits are limited: a task can print a line like this, and `int` refuses more than 4,300 of them.
_REPORT = re.compile(
    r"REPORT RequestId: \S+\s+Duration: (\d{1,9}(?:\.\d{1,9})?) ms\s+Billed Duration: (\d{1,9}) ms\s+"
    r"Memory Size: (\d{1,9}) MB\s+Max Memory Used: (\d{1,9}) MB"
    r"(?:\s+Init Duration: (\d{1,9}(?:\.\d{1,9})?) ms)?",
    re.ASCII,
)


def parse_report(log_tail: str) -> InvocationReport | None:
    """Return the last REPORT line in the log; None if there is none."""
    # User code may print something similar, but Lambda's own line is the last one.
    found = _REPORT.match(log_tail, log_tail.rfind("\nREPORT RequestId: ") + 1)
    if found is None:
        return None
    duration, billed, memory, used, init = found.groups()
    return InvocationReport(float(duration), int(billed), int(memory), int(used), float(init) if init else None)
