"""How the versions of a distribution compare, however they are spelled."""

from __future__ import annotations

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from lithops_magic.packages.distributions import Part

FIRST_YEAR = 1990
"""From here on, a version begins with a year."""


def public(part: Part) -> str:
    """The requirement of its version, whatever its builder added to it (PEP 440, "local version identifiers")."""
    return f"{part.name}=={public_version(part)}"


def public_version(part: Part) -> str:
    return part.version.partition("+")[0]


def is_same(part: Part, pin: str) -> bool:
    """Whether a pin is of the part's version, however both are written."""
    return pin == part.pin or normal(version_in(pin)) == normal(part.version)


def version_in(pin: str) -> str:
    return next((clause.version for clause in Requirement(pin).specifier), "")


def normal(version: str) -> Version | str:
    """The version as all spellings of it compare, without what its builder added to it."""
    try:
        return Version(Version(version).public)
    except InvalidVersion:
        return version


def major(version: str) -> str:
    """Return what a version begins with, of its epoch if it has one."""
    try:
        parsed = Version(version)
    except InvalidVersion:
        return version.partition(".")[0]
    return f"{parsed.epoch}!{parsed.major}" if parsed.epoch else str(parsed.major)
