"""Maps installed modules to their distributions, and follows what those require on Lambda."""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lithops_magic.packages.editable import contents_of
from lithops_magic.packages.indexes import has_cpu_builds
from lithops_magic.packages.metadata import (
    COMPILED,
    applies,
    direct_url,
    edited_files,
    files_of,
    metadata_folder,
    name_of,
    requires_of,
    text,
    version_of,
)
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
"""Distributions that only a notebook needs, not its tasks."""

_FOR_GPUS = ("cuda-", "nvidia-", "pytorch-triton", "triton")
"""Name prefixes of CUDA's dependencies."""
_TORCH = ("torch", "triton")

_ANY_SDK = "1.9999"
"""A version allowed by every requirement that does not insist on specific versions of AWS's SDK."""


@dataclass(frozen=True, slots=True)
class Part:
    """An installed distribution that a function needs."""

    name: str
    """Canonical name."""
    distribution: Distribution = field(compare=False, repr=False)
    version: str
    pure: bool
    """Whether its installed files run on any platform."""
    why: str

    @property
    def pin(self) -> str:
        """The requirement for exactly this version."""
        return f"{self.name}=={self.version}"


@dataclass(slots=True)
class Closure:
    """Everything that some modules, projects and requirements need on Lambda."""

    parts: dict[str, Part] = field(default_factory=dict)
    not_installed: dict[str, Requirement] = field(default_factory=dict)
    """Requirements that apply there and are not installed here."""
    unowned: list[Unit] = field(default_factory=list)
    """Installed modules that belong to no distribution."""
    left_out: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Optional distributions that cannot be shipped, with the reason and the one without a build."""
    used: set[str] = field(default_factory=set)
    """Names of distributions that the function uses directly or the user requested; these require the others."""

    @property
    def pure(self) -> list[Part]:
        """The parts whose installed files can be shipped."""
        return [part for part in self.parts.values() if part.pure]

    @property
    def binary(self) -> list[Part]:
        """The parts for which Lambda's platform needs its own build."""
        return [part for part in self.parts.values() if not part.pure]


def close(
    units: Iterable[tuple[Unit, str]],
    projects: Iterable[str],
    requirements: Iterable[tuple[Requirement, str]],
    target: Target,
) -> Closure:
    """Return what these modules, editable projects and installed requirements, each with its reason, need."""
    closure = Closure()
    waiting = list(requirements)
    owners: dict[str, Distribution] = {}
    for unit, why in units:
        owner = owner_of(unit)
        if owner is None:
            closure.unowned.append(unit)
        else:
            # Not every folder's name leads importlib to the distribution.
            owners.setdefault(canonicalize_name(name_of(owner)), owner)
            waiting.append((Requirement(name_of(owner)), f"{unit.name} is {why}"))
    closure.used = {canonicalize_name(requirement.name) for requirement, _ in waiting}
    environment = target.environment()
    for name in projects:
        waiting += _requires(installed(name), frozenset(), environment)
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        # Breadth first, so that the reason given for a distribution is the most direct one.
        requirement, why = waiting.pop(0)
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen or _is_left_out(requirement):
            continue
        seen.add((name, extras))
        distribution = owners.get(name) or installed(name)
        if distribution is None:
            closure.not_installed[name] = requirement
            continue
        waiting += _add(closure, distribution, requirement, why, environment)
    return closure


def _is_left_out(requirement: Requirement) -> bool:
    """Whether tasks do without it or have it already; a requirement on the AWS SDK's version is not met by Lambda's."""
    name = canonicalize_name(requirement.name)
    insists = name in SDK and not requirement.specifier.contains(_ANY_SDK)
    return name in NOT_SHIPPED or (name in PROVIDED and not insists)


def _add(
    closure: Closure, distribution: Distribution, requirement: Requirement, why: str, environment: dict[str, str]
) -> Iterator[tuple[Requirement, str]]:
    name = canonicalize_name(requirement.name)
    closure.parts.setdefault(name, Part(name, distribution, version_of(distribution), is_pure(distribution), why))
    yield from _requires(distribution, frozenset(requirement.extras), environment)
    if name in SDK:
        # Only certain versions of the SDK's distributions fit together.
        others = ((other, installed(other)) for other in sorted(SDK))
        yield from ((Requirement(f"{other}=={version_of(here)}"), why) for other, here in others if here)


def _requires(
    distribution: Distribution | None, extras: frozenset[str], environment: dict[str, str]
) -> Iterator[tuple[Requirement, str]]:
    for requirement in requires_of(distribution) if distribution else ():
        assert distribution is not None
        if _is_for_gpus(distribution, requirement):
            continue
        if any(applies(requirement.marker, {**environment, "extra": extra}) for extra in ("", *extras)):
            yield requirement, f"required by {name_of(distribution)}"


def _is_for_gpus(distribution: Distribution, requirement: Requirement) -> bool:
    """Whether only a GPU has a use for it; Lambda has none.

    A CUDA build of PyTorch cannot be imported without its libraries.
    """
    of_torch = canonicalize_name(name_of(distribution)) in _TORCH
    return is_for_gpus(requirement.name) and (not of_torch or has_cpu_builds())


def is_for_gpus(name: str) -> bool:
    """Whether a distribution is part of CUDA; bindings that only look for GPUs are not."""
    return canonicalize_name(name).startswith(_FOR_GPUS) and canonicalize_name(name) != "nvidia-ml-py"


def installed(name: str) -> Distribution | None:
    """Return the distribution of this name; None if it is not installed here."""
    if not name:
        return None
    found = list(importlib.metadata.distributions(name=name))
    root = Path(str(found[0].locate_file(""))) if found else None
    # An interrupted upgrade leaves the old version's metadata beside the new one's.
    rivals = dict.fromkeys(folder for one in found if (folder := metadata_folder(one)) and folder.parent == root)
    if root is not None and len(rivals) > 1:
        return Distribution.at(_least_altered(tuple(rivals), root.stat().st_mtime_ns))
    return next(iter(found), None)


@functools.lru_cache(maxsize=64)
def _least_altered(metadata: tuple[Path, ...], _changed: int) -> Path:
    return min(metadata, key=_altered)


def _altered(metadata: Path) -> float:
    """Return the share of a distribution's files that are missing or another version's."""
    distribution = Distribution.at(metadata)
    files = [file for file in files_of(distribution) if file.digest and ".dist-info/" not in file.name]
    missing = sum(not file.path.is_file() for file in files)
    return (missing + len(list(edited_files(distribution, compiled=True)))) / len(files) if files else 1.0


def owner_of(unit: Unit) -> Distribution | None:
    """Return the distribution that installed a module or package."""
    # Most distributions are named like their module; going through all of them takes far longer.
    for name in (unit.name.partition(".")[0], unit.name.replace(".", "-")):
        guess = installed(name)
        if guess is not None and _lists(guess, unit.landmark):
            return guess
    # Only those in the same folder: another folder on `sys.path` may have another version of the same files.
    beside = list(importlib.metadata.distributions(path=[str(unit.root)]))
    for distribution in beside:
        if _lists(distribution, unit.landmark):
            return distribution
    top = unit.name.partition(".")[0]
    # Without a file list, compare the names of modules.
    named = [one for one in beside if top in ((text(one, "top_level.txt") or "").split() or [name_of(one)])]
    unlisted = [one for one in named if not text(one, "RECORD")]
    if len(unlisted) == 1:
        return unlisted[0]
    names = {name_of(one) for one in importlib.metadata.distributions() if _brings(one, top)}
    return installed(names.pop()) if len(names) == 1 else None


def _brings(distribution: Distribution, top: str) -> bool:
    """Whether a top-level module of this name is declared or, if none is, among the files listed.

    As in `importlib.metadata.packages_distributions`, which parses the metadata and the files of every distribution.
    """
    try:
        if declared := (text(distribution, "top_level.txt") or "").split():
            return top in declared
        lists = (text(distribution, name) or "" for name in ("RECORD", "installed-files.txt", "SOURCES.txt"))
        files = (distribution.files or []) if any(top in listed for listed in lists) else []
    except Exception:  # unreadable metadata, or those of a finder of its own
        return False
    modules = ((file, inspect.getmodulename(file.name)) for file in files)
    return any(name and top == (file.parts[0] if len(file.parts) > 1 else name) for file, name in modules)


def _lists(distribution: Distribution, landmark: str) -> bool:
    # Searched as text, because parsing a RECORD of thousands of lines takes long.
    record = text(distribution, "RECORD") or ""
    # Installers on Windows may write backslashes, and quote a name with a comma.
    return any(f"\n{name}," in f"\n{record}" for name in (landmark, landmark.replace("/", "\\"), f'"{landmark}"'))


def is_pure(distribution: Distribution) -> bool:
    """Whether the installed files run on any platform: no wheel tag names a platform, and nothing is compiled."""
    tags = [
        line.partition(":")[2].strip() for line in (text(distribution, "WHEEL") or "").splitlines() if "Tag:" in line
    ]
    if any(not tag.endswith("-none-any") for tag in tags):
        return False
    files = list(contents_of(distribution))
    return bool(files) and not any(file.name.endswith(COMPILED) for file in files)


def is_from_files(distribution: Distribution) -> bool:
    """Whether it was installed from a local file or folder, or is marked as a local build (PEP 440)."""
    url = str(direct_url(distribution).get("url", ""))
    return url.startswith("file:") or "+" in version_of(distribution)


def shippable_files(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    """Yield the installed files of a distribution, with their names below a folder of packages."""
    return ((file.name, file.path) for file in contents_of(distribution) if file.path.is_file())
