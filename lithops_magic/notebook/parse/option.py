"""What an option of a magic is: how it is written, read, completed and explained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from lithops_magic.closest import closest
from lithops_magic.config.settings import ALIASES


@dataclass(frozen=True)
class Option:
    """One declared option: `metavar` None makes it a switch without a value."""

    flags: tuple[str, ...]
    help: str
    metavar: str | None = None
    parse: Callable[[str], object] = str
    legal: str = ""
    choices: tuple[str, ...] = ()
    offers: Literal["variables", "functions", "profiles", "files", "requirements"] | None = None
    """Which names complete its value: of the notebook, of AWS profiles, of files."""
    examples: tuple[str, ...] = ()
    """Values that are offered, though others are legal."""
    default: str = ""
    """What applies without it and without a setting, as the help shows it."""
    repeated: bool = False
    """Whether it may be given several times, each adding a value."""
    several: bool = False
    """Whether it takes the words up to the next option, as far as they are files here or the expression is over."""
    bare: object = None
    """What it means without a value, if it may have none."""
    keeps: str = ""
    """A name left in braces, to be filled in per task."""

    @property
    def field(self) -> str:
        """The attribute of `Options` this option sets."""
        return self.flags[-1].removeprefix("--").replace("-", "_")

    @property
    def usage(self) -> str:
        """The option as the help shows it: `-o, --out NAME`."""
        value = f" [{self.metavar}]" if self.bare is not None else f" {self.metavar}" if self.metavar else ""
        return ", ".join(self.flags) + value


Groups = tuple[tuple[str, tuple[Option, ...]], ...]
"""Options under their headings, as the help shows them."""


def by_flag(options: Iterable[Option]) -> dict[str, Option]:
    """Return the options under each of their flags."""
    return {flag: option for option in options for flag in option.flags}


def every_flag(options: Iterable[Option]) -> list[str]:
    """Return every flag in the order of the help."""
    return [flag for option in options for flag in option.flags]


def meant(flag: str, candidates: Iterable[str]) -> str:
    """Return `; did you mean --x?` for a mistyped flag, or an empty string."""
    name = flag.removeprefix("--").replace("-", "_")
    found = f"--{ALIASES[name]}" if name in ALIASES else closest(flag, candidates)
    return f"; did you mean {found}?" if found else ""
