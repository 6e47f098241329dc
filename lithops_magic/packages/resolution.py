"""The contents of a function's layer, and where its versions differ from the notebook's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from packaging.requirements import Requirement

from lithops_magic.packages.distributions import Part
from lithops_magic.packages.hashes import Hashes
from lithops_magic.packages.metadata import direct_url
from lithops_magic.packages.versions import FIRST_YEAR, is_same, major, version_in


@dataclass(frozen=True, slots=True)
class Difference:
    """A distribution whose version in the function differs from the notebook's."""

    name: str
    here: str
    there: str

    def __str__(self) -> str:
        return f"{self.name} here {self.here}, there {self.there}"

    @property
    def is_major(self) -> bool:
        """Whether the major versions differ; never true for versions that are dates."""
        here, there = (major(version) for version in (self.here, self.there))
        return here != there and not (here.isdecimal() and int(here) >= FIRST_YEAR)


@dataclass(frozen=True, slots=True)
class Resolution:
    """Contents of a layer."""

    copied: tuple[Part, ...] = ()
    """Distributions that are copied as they are installed here."""
    fetched: dict[str, str] = field(default_factory=dict)
    """Exact requirements by name."""
    unchanged: tuple[Part, ...] = ()
    """Distributions that are installed here and fetched in the same version."""
    built: frozenset[str] = frozenset()
    """Names of distributions to be built from source."""
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    hashes: Hashes = field(default_factory=Hashes)
    """Hashes that `fetched` must match."""


def _is_from_there(part: Part, pin: str) -> bool:
    """Whether a pin is the place from which the part is installed here."""
    url = Requirement(pin).url
    return url is not None and url == direct_url(part.distribution).get("url")


def differences(parts: Mapping[str, Part], fetched: Mapping[str, str]) -> Iterator[Difference]:
    """Yield distributions that are fetched in a version other than the installed one."""
    for name, pin in fetched.items():
        if name in parts and not is_same(parts[name], pin) and not _is_from_there(parts[name], pin):
            yield Difference(name, parts[name].version, version_in(pin) or pin)
