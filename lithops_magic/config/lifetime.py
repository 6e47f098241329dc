"""Lifetimes of cached values, as people write them; all are in seconds."""

from __future__ import annotations

import math
import re

DAY = 86_400.0
DEFAULT = 30 * DAY
MIN_LIFETIME, MAX_LIFETIME = 1.0, 365 * DAY
LIFETIME = "True, False or a time of at most a year, such as '12h' or '30d'"
"""Accepted formats."""

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": DAY, "w": 7 * DAY, "y": 365 * DAY}


def parse_lifetime(given: object) -> float:
    """Return seconds; a string such as ``30d`` has a unit, and ``off`` gives 0.

    Raises
    ------
    ValueError
        It is not a duration, or too long.
    """
    if given == "off":
        return 0.0
    if isinstance(given, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", given.strip().lower())
        if found is None or found[2] not in _UNITS:
            raise ValueError(given)
        seconds = float(found[1]) * _UNITS[found[2]]
    elif isinstance(given, int | float) and not isinstance(given, bool):
        seconds = float(given)
    else:
        raise ValueError(given)
    if math.isnan(seconds) or (seconds and not MIN_LIFETIME <= seconds <= MAX_LIFETIME):
        raise ValueError(given)
    return seconds
