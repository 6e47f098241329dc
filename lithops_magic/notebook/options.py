"""The options of `%lambda_map`, declared once: parsing, help, completion and `%config` all read this list."""

from __future__ import annotations

import difflib
import keyword
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

Errors = Literal["raise", "keep"]


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
        """Return the number in `text`; raise ValueError when it is none or out of range."""
        number = int(text)
        if number < self.low or (self.high is not None and number > self.high):
            raise ValueError(text)
        return number


# Memory and timeout: AWS Lambda's function quotas ("Lambda quotas", AWS Lambda developer guide).
MEMORY = Range(128, 10_240, "MB")
TIMEOUT = Range(1, 900, "seconds")
COUNT = Range(1)
RETRIES = Range(0)
ERRORS = ("raise", "keep")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the options on one magic line say; None means not given."""

    out: str | None = None
    memory: int | None = None
    timeout: int | None = None
    chunksize: int | None = None
    workers: int | None = None
    retries: int | None = None
    errors: Errors | None = None
    packages: str | None = None
    profile: str | None = None
    background: bool = False
    quiet: bool = False
    local: bool = False
    help: bool = False


@dataclass(frozen=True)
class Option:
    """One declared option: `metavar` None makes it a switch without a value."""

    flags: tuple[str, ...]
    help: str
    metavar: str | None = None
    parse: Callable[[str], object] = str
    legal: str = ""
    choices: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """The attribute of `Options` this option sets."""
        return self.flags[-1].removeprefix("--")

    @property
    def usage(self) -> str:
        """The option as the help shows it: `-o NAME, --out NAME`."""
        value = f" {self.metavar}" if self.metavar else ""
        return ", ".join(flag + value for flag in self.flags)


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError(text)
    return text


def _choice(text: str) -> str:
    if text not in ERRORS:
        raise ValueError(text)
    return text


def _number(flag: str, metavar: str, allowed: Range, text: str) -> Option:
    return Option((flag,), text, metavar, allowed.parse, str(allowed))


OPTIONS = (
    Option(
        ("-o", "--out"),
        "variable that holds the result, bound before the work starts",
        "NAME",
        _variable,
        "a variable name",
    ),
    _number("--memory", "MB", MEMORY, "memory of each Lambda; more memory also means more CPU (1 vCPU at 1769 MB)"),
    _number("--timeout", "S", TIMEOUT, "longest time one task may run, in seconds"),
    _number("--chunksize", "N", COUNT, "items sent in one invocation (chosen by measuring when not given)"),
    _number("--workers", "N", COUNT, "most Lambdas running at the same time"),
    _number("--retries", "N", RETRIES, "how often a task is sent again when its Lambda was lost"),
    Option(
        ("--errors",),
        "raise: stop the notebook with the grouped errors at the end; keep: only report them",
        "raise|keep",
        _choice,
        "raise or keep",
        ERRORS,
    ),
    Option(
        ("--packages",),
        'packages to ship beside those the cell is seen to use: "numpy==2.1 polars", a requirements file, or none',
        "LIST",
        str,
        "names in quotes, a requirements file or none",
    ),
    Option(("--profile",), "AWS profile to use", "NAME", str, "the name of an AWS profile"),
    Option(("--background",), "return at once; the result fills while other cells run"),
    Option(("--quiet",), "show neither progress nor summary"),
    Option(("--local",), "use the local AWS on this machine, whatever is configured"),
    Option(("--help",), "show this help"),
)

BY_FLAG = {flag: option for option in OPTIONS for flag in option.flags}


def closest(flag: str) -> str:
    """Return `; did you mean --x?` for a mistyped flag, or an empty string."""
    found = difflib.get_close_matches(flag, BY_FLAG, n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def names(options: Iterable[Option] = OPTIONS) -> list[str]:
    """Return every flag in the order of the help."""
    return [flag for option in options for flag in option.flags]
