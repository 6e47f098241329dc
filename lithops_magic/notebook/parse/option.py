"""An option of a magic: how it is written, parsed, completed and explained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from lithops_magic.closest import closest
from lithops_magic.config.settings import ALIASES


@dataclass(frozen=True)
class Option:
    """A declared option: `metavar` None makes it a switch without a value."""

    flags: tuple[str, ...]
    help: str
    metavar: str | None = None
    parse: Callable[[str], object] = str
    legal: str = ""
    choices: tuple[str, ...] = ()
    offers: Literal["variables", "functions", "profiles", "files", "requirements"] | None = None
    """Which names complete its value: notebook variables, AWS profiles, or files."""
    examples: tuple[str, ...] = ()
    """Suggested values; others are allowed."""
    default: str = ""
    """What applies if neither it nor a setting is given, as shown in the help."""
    repeated: bool = False
    """Whether it can be repeated, each time adding a value."""
    several: bool = False
    """Whether it takes all words up to the next option, if they are files here or the expression is complete."""
    bare: object = None
    """Its meaning without a value, if the value is optional."""
    keeps: str = ""
    """A name kept in braces, to be filled in for each task."""

    @property
    def field(self) -> str:
        """The attribute of `Options` that it sets."""
        return self.flags[-1].removeprefix("--").replace("-", "_")

    @property
    def usage(self) -> str:
        """The option as shown in the help: `-o, --out NAME`."""
        value = f" [{self.metavar}]" if self.bare is not None else f" {self.metavar}" if self.metavar else ""
        return ", ".join(self.flags) + value


Groups = tuple[tuple[str, tuple[Option, ...]], ...]
"""Options under their headings, as shown in the help."""


def by_flag(options: Iterable[Option]) -> dict[str, Option]:
    """Return the options under each of their flags."""
    return {flag: option for option in options for flag in option.flags}


def every_flag(options: Iterable[Option]) -> list[str]:
    """Return all flags in the order of the help."""
    return [flag for option in options for flag in option.flags]


def meant(flag: str, candidates: Iterable[str]) -> str:
    """Return `; did you mean --x?` for a mistyped flag, or an empty string."""
    name = flag.removeprefix("--").replace("-", "_")
    found = f"--{ALIASES[name]}" if name in ALIASES else closest(flag, candidates)
    return f"; did you mean {found}?" if found else ""
