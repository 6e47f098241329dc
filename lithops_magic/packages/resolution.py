"""What a function's layer is made of, and where its versions are other than the notebook's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lithops_magic.packages.distributions import Part
from lithops_magic.packages.hashes import Hashes
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
        """Whether the major versions differ; of versions that are dates, none is major."""
        here, there = (major(version) for version in (self.here, self.there))
        return here != there and not (here.isdecimal() and int(here) >= FIRST_YEAR)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What is put into the layer."""

    copied: tuple[Part, ...] = ()
    """Pure distributions, as they are installed here."""
    fetched: dict[str, str] = field(default_factory=dict)
    """Requirements of one exact version each, by name."""
    unchanged: tuple[Part, ...] = ()
    """Those installed here of which the same version is fetched."""
    built: frozenset[str] = frozenset()
    """Names of those that are to be built from source."""
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    hashes: Hashes = field(default_factory=Hashes)
    """What `fetched` has to match."""


def differences(parts: Mapping[str, Part], fetched: Mapping[str, str]) -> Iterator[Difference]:
    """Yield distributions that are fetched in a version other than the installed one."""
    for name, pin in fetched.items():
        if name in parts and not is_same(parts[name], pin):
            yield Difference(name, parts[name].version, version_in(pin) or pin)
