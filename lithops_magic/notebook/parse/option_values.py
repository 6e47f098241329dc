"""The values of options: what text each may have, and how it is said when it has another."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable
from typing import NamedTuple

_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
"""Of an environment."""


_UNITS: dict[str, dict[str, int]] = {
    "MB": {"mb": 1, "m": 1, "mib": 1, "gb": 1024, "g": 1024, "gib": 1024},
    "seconds": {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600},
    "": {},
}
"""What may follow a number in each unit, and how many of the unit it is."""


class Range(NamedTuple):
    """Whole numbers a value may take; `high` None means no upper bound."""

    low: int
    high: int | None = None
    unit: str = ""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.high is None:
            return f"a whole number of at least {self.low:,}{unit}"
        return f"a whole number from {self.low:,} to {self.high:,}{unit}"

    def parse(self, text: str) -> int:
        """Return the number in `text`, such as `2048` or `2GB`; raise ValueError when it is none or out of range."""
        number = _with_unit(text, _UNITS[self.unit])
        if number < self.low or (self.high is not None and number > self.high):
            raise ValueError(text)
        return number


# Memory, timeout and /tmp: AWS Lambda's function quotas ("Lambda quotas", AWS Lambda developer guide).
MEMORY = Range(128, 10_240, "MB")
TIMEOUT = Range(1, 900, "seconds")
TMP = Range(512, 10_240, "MB")
COUNT = Range(1)
RETRIES = Range(0)
ABOVE = {"retry_memory": (1, "a factor above 1, such as 2x"), "max_cost": (0, "an amount of US dollars")}
"""What some numbers must be more than, and how that is said."""


def _with_unit(text: str, units: dict[str, int]) -> int:
    found = re.fullmatch(r"([\d_]+|\d*\.\d+)\s*([a-zA-Z]*)", text.strip())
    if found is None:
        raise ValueError(text)
    number, unit = found.groups()
    if unit and unit.lower() not in units:
        raise ValueError(text)
    value = float(number) * units.get(unit.lower(), 1)
    if value != int(value):
        raise ValueError(text)
    return int(value)


def parse_name(text: str) -> str:
    """Return `text` if it can be the name of a variable."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError(text)
    return text


def parse_pair(text: str) -> tuple[str, str]:
    """Return the name and the value in `NAME=VALUE`."""
    name, separator, value = text.partition("=")
    if not separator or not _VARIABLE.fullmatch(name):
        raise ValueError(text)
    return name, value


def parse_factor(text: str) -> float:
    """Return the factor in `2x`, `1.5x` or `2`, which must be more than one."""
    return _above("retry_memory", text.lower().removesuffix("x").removesuffix("×"))


def parse_money(text: str) -> float:
    """Return the US dollars in `2.50` or `$2.50`, more than none."""
    return _above("max_cost", text.removeprefix("$"))


def one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """Return a parser that accepts `choices` only."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return parse


def _above(name: str, text: str) -> float:
    number = float(text)
    # Said this way round, it refuses NaN too.
    if not ABOVE[name][0] < number < float("inf"):
        raise ValueError(text)
    return number
