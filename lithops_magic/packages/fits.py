"""Remembers compatible versions for a day, so that adding a pure-Python package requires no index."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lithops_magic.packages import file_state
from lithops_magic.packages.cache import Cache

LIFETIME = 24 * 3600.0
"""Seconds after which an index may have a closer version."""


@dataclass(slots=True)
class Fit:
    """Versions of compiled distributions."""

    pins: dict[str, str]
    warnings: list[str] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    as_they_are: list[str] = field(default_factory=list)
    demands: list[str] = field(default_factory=list)
    """Requirements that pure distributions have on them."""
    found: float = field(default_factory=time.time)


class Fits:
    """The fit found for a given set of facts.

    Parameters
    ----------
    facts
        Everything that determines the fit, except the pure distributions.
    demands
        Requirements of the pure distributions.
    pure
        Names of the pure distributions.
    """

    def __init__(self, cache: Cache, facts: object, demands: Iterable[str], pure: Collection[str]) -> None:
        self._cache, self._file = cache, f"fit-{file_state.key(facts)}.json"
        self._demands, self._pure = sorted(set(demands)), pure

    def recall(self) -> Fit | None:
        """Return the fit if resolving would still give it: requirements were only added, and it satisfies them."""
        fit = Fit(**json.loads(text)) if (text := self._cache.read(self._file)) else None
        # A distribution that is pure now is copied, and its old pin would fetch it.
        if fit is None or time.time() - fit.found > LIFETIME or not fit.pins.keys().isdisjoint(self._pure):
            return None
        demands = self._relevant(fit)
        return fit if set(fit.demands) <= set(demands) and all(_met(one, fit) for one in demands) else None

    def keep(self, fit: Fit) -> None:
        """Remember it."""
        fit.demands = self._relevant(fit)
        self._cache.write(self._file, json.dumps(asdict(fit)).encode())

    def _relevant(self, fit: Fit) -> list[str]:
        return [one for one in self._demands if canonicalize_name(Requirement(one).name) in fit.pins]


def _met(demand: str, fit: Fit) -> bool:
    requirement = Requirement(demand)
    pin = Requirement(fit.pins[canonicalize_name(requirement.name)])
    versions = [clause.version for clause in pin.specifier if clause.operator == "=="]
    return bool(versions) and requirement.specifier.contains(versions[0], True)
