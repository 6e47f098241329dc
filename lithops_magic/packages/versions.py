"""Compares versions of a distribution, however they are spelled."""

from __future__ import annotations

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from lithops_magic.packages.distributions import Part

FIRST_YEAR = 1990
"""A version whose first number is at least this starts with a year."""


def public(part: Part) -> str:
    """The requirement for its public version, without a local suffix (PEP 440, "local version identifiers")."""
    return f"{part.name}=={public_version(part)}"


def public_version(part: Part) -> str:
    return part.version.partition("+")[0]


def is_same(part: Part, pin: str) -> bool:
    """Whether a pin means the part's version, however the two are spelled."""
    return pin == part.pin or normal(version_in(pin)) == normal(part.version)


def version_in(pin: str) -> str:
    return next((clause.version for clause in Requirement(pin).specifier), "")


def normal(version: str) -> Version | str:
    """Normalize a version for comparison, without a local suffix."""
    try:
        return Version(Version(version).public)
    except InvalidVersion:
        return version


def major(version: str) -> str:
    """Return the major version, including the epoch if there is one."""
    try:
        parsed = Version(version)
    except InvalidVersion:
        return version.partition(".")[0]
    return f"{parsed.epoch}!{parsed.major}" if parsed.epoch else str(parsed.major)
