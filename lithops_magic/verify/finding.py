"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "differs", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Observation:
    """What one check observed.

    Attributes
    ----------
    status
        ``"differs"``: it works, but the service answers differently from the recordings of AWS.
    text
        In a few words.
    differences
        One line each.
    """

    status: Status
    text: str
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One finished check."""

    name: str
    expected: str
    seen: Observation
    seconds: float
    requests: int
    """HTTP requests to AWS."""
    cost: float
    """USD of Lambda at list price."""


def judged(works: object, text: str) -> Observation:
    """Return ``text`` as what was observed of something that works, or does not."""
    return Observation("ok" if works else "failed", text)


class Skip(Exception):
    """A check cannot be run here; the message says why."""


def equal(expected: object, seen: object, text: str) -> Observation:
    """Return ``text`` as the observation if two values are equal, else both values."""
    if seen == expected:
        return Observation("ok", text)
    return Observation("failed", f"{seen!r:.100} instead of {expected!r:.100}")
