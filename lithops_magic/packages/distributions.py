"""From installed modules to the installed distributions they belong to, and what those require on Lambda."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lithops_magic.packages.modules import Unit
from lithops_magic.packages.platform import PROVIDED, SDK, Target

NOT_SHIPPED = frozenset(
    {
        "ipykernel",
        "ipython",
        "ipywidgets",
        "jupyter",
        "jupyter-console",
        "jupyter-server",
        "jupyterlab",
        "jupyterlab-widgets",
        "lithops-magic",
        "nbclassic",
        "notebook",
        "widgetsnbextension",
    }
)
"""Distributions of the notebook itself: a task has no notebook."""

_ANY_SDK = "1.9999"
"""A version that every requirement allows which does not insist on certain versions of AWS's SDK."""

_COMPILED = re.compile(r"\.(?:so|pyd|dll|dylib)\"?,")
"""In a RECORD, after the name of a file."""


@dataclass(frozen=True, slots=True)
class Part:
    """An installed distribution that a function needs."""

    name: str
    """Canonical."""
    distribution: Distribution = field(compare=False, repr=False)
    version: str
    pure: bool
    """Whether its installed files run anywhere."""
    why: str

    @property
    def pin(self) -> str:
        """The requirement that it fulfils."""
        return f"{self.name}=={self.version}"


@dataclass(slots=True)
class Closure:
    """Everything that some roots require on Lambda."""

    parts: dict[str, Part] = field(default_factory=dict)
    missing: dict[str, Requirement] = field(default_factory=dict)
    """What is required there and not installed here."""
    unowned: list[Unit] = field(default_factory=list)
    """Modules among the installed ones that belong to no distribution."""

    @property
    def pure(self) -> list[Part]:
        """The parts whose installed files can be shipped."""
        return [part for part in self.parts.values() if part.pure]

    @property
    def binary(self) -> list[Part]:
        """The parts of which Lambda's platform needs its own build."""
        return [part for part in self.parts.values() if not part.pure]


def close(
    units: Iterable[tuple[Unit, str]], projects: Iterable[str], requirements: Iterable[Requirement], target: Target
) -> Closure:
    """Return what these modules, editable projects and installed requirements need on `target`."""
    closure = Closure()
    waiting: list[tuple[Requirement, str]] = [(requirement, "--packages") for requirement in requirements]
    for unit, why in units:
        owner = owner_of(unit)
        if owner is None:
            closure.unowned.append(unit)
        else:
            waiting.append((Requirement(owner.name), f"{unit.name} is {why}"))
    environment = target.environment()
    for name in projects:
        waiting += _requires(installed(name), frozenset(), environment)
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement, why = waiting.pop(0)
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen or _is_left_out(requirement):
            continue
        seen.add((name, extras))
        waiting += _add(closure, requirement, why, environment)
    return closure


def _is_left_out(requirement: Requirement) -> bool:
    """Whether tasks do without it, or have it; what insists on a version of AWS's SDK does not mean Lambda's."""
    name = canonicalize_name(requirement.name)
    insists = name in SDK and not requirement.specifier.contains(_ANY_SDK)
    return name in NOT_SHIPPED or (name in PROVIDED and not insists)


def _add(
    closure: Closure, requirement: Requirement, why: str, environment: dict[str, str]
) -> Iterator[tuple[Requirement, str]]:
    name = canonicalize_name(requirement.name)
    distribution = installed(name)
    if distribution is None:
        closure.missing[name] = requirement
        return
    closure.parts.setdefault(name, Part(name, distribution, distribution.version, is_pure(distribution), why))
    yield from _requires(distribution, frozenset(requirement.extras), environment)
    if name in SDK:
        # Its distributions fit each other in certain versions only.
        others = ((other, installed(other)) for other in sorted(SDK))
        yield from ((Requirement(f"{other}=={here.version}"), why) for other, here in others if here)


def _requires(
    distribution: Distribution | None, extras: frozenset[str], environment: dict[str, str]
) -> Iterator[tuple[Requirement, str]]:
    for text in (distribution.requires or ()) if distribution else ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)):
            assert distribution is not None
            yield requirement, f"required by {distribution.name}"


def installed(name: str) -> Distribution | None:
    """Return the distribution of this name, if it is installed here."""
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def owner_of(unit: Unit) -> Distribution | None:
    """Return the distribution that installed a module or package."""
    for name in (unit.name.partition(".")[0], unit.name.replace(".", "-")):
        guess = installed(name)
        if guess is not None and _lists(guess, unit.landmark):
            return guess
    for distribution in importlib.metadata.distributions(path=[str(unit.root)]):
        if _lists(distribution, unit.landmark):
            return distribution
    names = importlib.metadata.packages_distributions().get(unit.name.partition(".")[0], [])
    return installed(names[0]) if len(set(names)) == 1 else None


def _lists(distribution: Distribution, landmark: str) -> bool:
    record = distribution.read_text("RECORD") or ""
    return record.startswith(f"{landmark},") or f"\n{landmark}," in record


def is_pure(distribution: Distribution) -> bool:
    """Whether the installed files are those of a wheel for any platform."""
    wheel, record = distribution.read_text("WHEEL"), distribution.read_text("RECORD")
    if wheel is None or record is None:
        return False
    tags = [line.partition(":")[2].strip() for line in wheel.splitlines() if line.startswith("Tag:")]
    return bool(tags) and all(tag.endswith("-none-any") for tag in tags) and not _COMPILED.search(record)


def shippable_files(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    """Yield the installed files of a pure distribution, as they are named below a folder of packages."""
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        if ".." not in file.parts and not file.is_absolute() and path.is_file():
            yield file.as_posix(), path
