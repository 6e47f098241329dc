"""Parsers for option values, and the errors for invalid ones."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable

from lithops_magic.config.limits import Range
from lithops_magic.errors import MisuseError

_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
"""Name of an environment variable."""


_UNITS: dict[str, dict[str, int]] = {
    "MB": {"mb": 1, "m": 1, "mib": 1, "gb": 1024, "g": 1024, "gib": 1024},
    "seconds": {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600},
    "": {},
}
"""Suffixes for numbers in each unit, with their factors."""


def whole(allowed: Range) -> Callable[[str], int]:
    """Return a parser of integers, with or without a unit, such as `2048` or `2GB`."""

    def parse(text: str) -> int:
        return allowed.checked(with_unit(text, allowed.unit))

    return parse


ABOVE = {"retry_memory": (1, "a factor above 1, such as 2x"), "max_cost": (0, "an amount of US dollars above 0")}
"""Exclusive lower bounds of some numbers, and how they are worded."""


def with_unit(text: str, unit_meant: str) -> int:
    """Return an integer in `unit_meant` (MB, seconds or none) from a text such as `2GB`.

    Raises
    ------
    ValueError
        It is not an integer with a suitable unit.
    """
    units = _UNITS[unit_meant]
    found = re.fullmatch(r"([\d_]+|\d*\.\d+)\s*([a-zA-Z]*)", text.strip())
    if found is None:
        raise ValueError(text)
    number, unit = found.groups()
    if unit and unit.lower() not in units:
        raise ValueError(text)
    # int() would refuse `1.5GB`, which is a whole number of MB.
    value = float(number) * units.get(unit.lower(), 1)
    # Also false for infinity, which hundreds of digits become.
    if not value.is_integer():
        raise ValueError(text)
    return int(value)


def parse_name(text: str) -> str:
    """Return `text` if it is a valid variable name."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError(text)
    return text


def parse_pair(text: str) -> tuple[str, str]:
    """Return the name and the value from `NAME=VALUE`."""
    name, separator, value = text.partition("=")
    if not separator or not _VARIABLE.fullmatch(name):
        raise ValueError(text)
    return name, value


def template(text: str) -> str:
    """Return `text` if it is a valid address with a placeholder for the task number."""
    from lithops_magic import data

    try:
        return data.checked("--to-s3", text)
    except MisuseError:
        raise ValueError(text) from None


def parse_factor(text: str) -> float:
    """Return the factor from `2x`, `1.5x` or `2`, which must be greater than one."""
    return _above("retry_memory", text.lower().removesuffix("x").removesuffix("×"))


def parse_money(text: str) -> float:
    """Return the US dollars from `2.50` or `$2.50`, which must be positive."""
    return _above("max_cost", text.removeprefix("$"))


def one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """Return a parser that accepts only `choices`."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return parse


def _above(name: str, text: str) -> float:
    number = float(text)
    # In this form, the comparison rejects NaN, too.
    if not ABOVE[name][0] < number < float("inf"):
        raise ValueError(text)
    return number
