"""Refuses versions too different from the notebook's to be used unless requested, and suggests alternatives."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lithops_magic.errors import NoBuild
from lithops_magic.packages.indexes import settings
from lithops_magic.packages.platform import Target
from lithops_magic.packages.resolution import Difference
from lithops_magic.packages.uv import Uv
from lithops_magic.packages.uv_command import IndexUnreachable, Unresolvable
from lithops_magic.packages.versions import normal

_ON_NEWER = "a notebook on Python {} or newer gets its own versions"
OLD = timedelta(days=2 * 365)
"""Maximum age of a build that may replace the notebook's version."""


def refuse_old(uv: Uv, differences: Sequence[Difference]) -> None:
    """Refuse builds that are years older than the notebook's packages, unless the user requests them.

    Raises
    ------
    PackageError
        The nearest build is years old.
    """
    # Asked of the index by date: a version that existed then is that old.
    then = datetime.now(UTC) - OLD
    old = [one for one in differences if uv.available(f"{one.name}=={one.there}", before=then)]
    if old:
        raise NoBuild(_refusal(uv, old, "the nearest is years old"))


def refuse_other_majors(uv: Uv, differences: Sequence[Difference], used: Container[str]) -> None:
    """Refuse another major version of packages that the function uses directly, unless the user requests it.

    Indirect dependencies may have another major version, because the package that requires them allows it.

    Raises
    ------
    PackageError
        The nearest build is of another major version.
    """
    other = [one for one in differences if one.is_major and one.name in used]
    if other:
        raise NoBuild(_refusal(uv, other, "the nearest is of another major version"))


def _refusal(uv: Uv, differences: Sequence[Difference], what: str) -> str:
    here = ", ".join(f"{one.name} {one.here}" for one in differences)
    pins = " ".join(f"{one.name}=={one.there}" for one in differences)
    words = f'"{pins}"' if " " in pins else pins
    return (
        f"There is no build of {here} for {uv.target.describe()} that fits the rest; {what} and may behave "
        f"differently: request it with --packages {words}."
        f"{ways_out(uv, [f'{one.name}=={normal(one.here)}' for one in differences])}"
    )


def ways_out(uv: Uv, pins: Sequence[str]) -> str:
    """Say where builds of these versions would run, if anywhere."""
    target = uv.target
    ways = [_ON_NEWER.format(newer)] if (newer := _newer_python(target, pins)) else []
    if not target.image and _has_all(replace(target, image=True), pins):
        ways.append("`lithops-magic image` writes a container image that has them")
    text = "; ".join(ways)
    return f" {text[0].upper()}{text[1:]}." if ways else ""


def notes(target: Target, differences: Sequence[Difference]) -> Iterator[str]:
    """Yield a note on the versions that tasks get instead."""
    if differences:
        here = ", ".join(f"{one.name} {one.here}" for one in differences)
        there = ", ".join(f"{one.name} {one.there}" for one in differences)
        newer = ""
        if not target.is_amazon_linux_2023 and not target.here:
            with contextlib.suppress(IndexUnreachable):
                newer = _newer_python(target, [f"{one.name}=={normal(one.here)}" for one in differences])
        way = f"; {_ON_NEWER.format(newer)}" if newer else ""
        yield f"there is no build of {here} for {target.describe()}: tasks get {there}{way}"


def _newer_python(target: Target, pins: Sequence[str]) -> str:
    """Return the Python version from which on Lambda has builds of these versions; empty if there is none."""
    # From 3.12 on, the runtimes have Amazon Linux 2023, with a newer glibc.
    newer = [replace(target, minor=minor) for minor in (12, 13) if minor > target.minor]
    return next((one.python for one in newer if _has_all(one, pins)), "")


def _has_all(target: Target, pins: Sequence[str]) -> bool:
    return _ask(target, tuple(pins), tuple(sorted(settings().items())))


@lru_cache(maxsize=256)
def _ask(target: Target, pins: tuple[str, ...], _configured: tuple[tuple[str, str], ...]) -> bool:
    """Ask the index, once in a process: every further layer of a notebook with such a gap would wait for the answer."""
    names = [canonicalize_name(Requirement(pin).name) for pin in pins]
    try:
        return bool(pins) and bool(Uv(target).resolve(pins, alone=True, compiled=names).pins)
    except Unresolvable:
        return False
