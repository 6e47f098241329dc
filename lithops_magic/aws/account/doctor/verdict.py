"""The result of a check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lithops_magic.aws.account.doctor.facts import Facts

Status = Literal["ok", "problem", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """One item that was checked."""

    name: str
    status: Status
    text: str
    """A sentence."""
    fix: str = ""
    """What to do about a problem."""

    def __str__(self) -> str:
        return " ".join(part for part in (f"{self.status:8}{self.name}: {self.text}", self.fix) if part)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a check that was carried out."""

    status: Literal["ok", "problem"]
    text: str
    fix: str = ""


CheckFunction = Callable[[Facts], Verdict | None]
"""Returns None if the check does not apply to the settings."""


def ok(text: str) -> Verdict:
    """Everything is fine."""
    return Verdict("ok", text)


def problem(text: str, fix: str) -> Verdict:
    """Something will not work, and `fix` is the remedy."""
    return Verdict("problem", text, fix)


def listed(names: list[str] | tuple[str, ...] | set[str] | frozenset[str]) -> str:
    """Join names for a sentence, sorted."""
    return ", ".join(sorted(names))
