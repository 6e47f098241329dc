"""What cannot be shipped from this notebook's environment, remembered with the reason.

A resolution in vain takes seconds, and would be repeated by every job whose tasks look for the distribution.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from lithops_magic.errors import NoBuild, PackageError
from lithops_magic.packages import file_state
from lithops_magic.packages.cache import Cache
from lithops_magic.packages.distributions import installed
from lithops_magic.packages.indexes import settings
from lithops_magic.packages.learned import file_of_environment
from lithops_magic.packages.metadata import version_of
from lithops_magic.packages.platform import Target
from lithops_magic.packages.site_folders import site_folders

REFUSED = "cannot be shipped"
"""Verb in the note on packages that tasks asked for and that are unavailable for Lambda."""

_told: set[str] = set()
"""Such notes that this notebook was shown."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a distribution cannot be shipped."""

    why: str
    package: str
    """The distribution without a build; empty if it depends on what else is shipped."""
    here: str
    """State of the environment."""
    beside: str
    """What else is shipped; empty if that does not matter."""


def known(target: Target, beside: str) -> dict[str, Refusal]:
    """Return, by name, what cannot be shipped to a target with what is needed `beside` it."""
    found = _read().get(target.describe(), {})
    return {name: one for name, one in _current(found).items() if one.beside in ("", beside)}


def anywhere() -> set[str]:
    """Return the names of what cannot be shipped to some target."""
    return {name for found in _read().values() for name in _current(found)}


def remember(errors: Mapping[str, PackageError], target: Target, beside: str) -> None:
    """Remember which distributions have no build; other problems, such as a broken connection, may pass."""
    if not (lasting := {name: error for name, error in errors.items() if isinstance(error, NoBuild)}):
        return
    told = _read()
    found, environment = told.setdefault(target.describe(), {}), _environment()
    for name, error in lasting.items():
        found[name] = Refusal(str(error), error.package, _state(name, environment), "" if error.package else beside)
    text = {target: {name: asdict(one) for name, one in those.items()} for target, those in told.items()}
    with contextlib.suppress(OSError):
        Cache.of_user().write(_file(), json.dumps(text).encode())


def explain(reasons: Mapping[str, tuple[str, str]]) -> str:
    """Return a sentence on distributions that cannot be shipped, each with the reason and the one without a build.

    Of several that fail for the same distribution, only the first is named: the others were asked for by it.
    """
    first: dict[str, str] = {}
    for name, (_, package) in reasons.items():
        first.setdefault(package or name, name)
    why = "; ".join(dict.fromkeys(reasons[name][0] for name in first.values()))
    return f"{', '.join(first.values())}, which tasks asked for, {REFUSED}: {why}" if first else ""


def untold(notes: Iterable[str]) -> Iterator[str]:
    """Yield notes, of those on packages that cannot be shipped only new ones: every job would repeat them."""
    for note in notes:
        if REFUSED not in note or note not in _told:
            yield note
        if REFUSED in note:
            _told.add(note)


def _current(found: Mapping[str, Refusal]) -> dict[str, Refusal]:
    environment = _environment() if found else ()
    return {name: one for name, one in found.items() if one.here == _state(name, environment)}


def _state(name: str, environment: object) -> str:
    """Return a text that changes whenever the distribution may have become available."""
    here = installed(name)
    return file_state.key([here and version_of(here), environment])


def _environment() -> object:
    return site_folders(), sorted(settings().items())


def _read() -> dict[str, dict[str, Refusal]]:
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        told = json.loads(Cache.of_user().read(_file()) or "{}")
        return {target: {name: Refusal(**one) for name, one in found.items()} for target, found in told.items()}
    return {}


def _file() -> str:
    return file_of_environment("refused")
