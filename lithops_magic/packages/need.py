"""A function's needs, determined from its pickle, code and first items; nothing is built yet."""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, MappingView
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.utils import canonicalize_name

from lithops_magic.packages import local
from lithops_magic.packages.distributions import owner_of
from lithops_magic.packages.imports import imports_of_code
from lithops_magic.packages.metadata import name_of
from lithops_magic.packages.modules import Unit
from lithops_magic.packages.pickling import Reach, dumps
from lithops_magic.packages.plugins import owners_of_searched
from lithops_magic.packages.programs import owners_of_called
from lithops_magic.packages.request import Request
from lithops_magic.packages.site_folders import site_folders

INLINE = 65_536
"""Maximum bytes of an archive of the user's own modules that is sent with every invocation."""

_LOOKED_AT = 1000
_CONTAINERS = (list, tuple, set, frozenset, deque, dict, MappingView)


@dataclass(frozen=True, slots=True)
class Need:
    """A function's needs; equal needs are met by the same layers."""

    units: tuple[tuple[Unit, str], ...] = ()
    """Installed modules and packages, with the place of their import."""
    projects: tuple[str, ...] = ()
    """Distributions installed in editable mode, whose requirements are needed, too."""
    named: tuple[str, ...] = ()
    """Distributions that the function seems to need by strings that it has, such as names of programs."""
    sources: bytes = field(default=b"", repr=False)
    """Archive of the user's own modules and of files for the tasks' working folder."""
    imports: tuple[str, ...] = field(default=(), compare=False)
    """Installed modules that it visibly imports, so that a sandbox can import them once for all jobs."""
    request: Request = field(default_factory=Request)
    environment: tuple[tuple[str, int], ...] = ()
    """Folders with installed packages, and when each last changed."""
    own: tuple[Unit, ...] = field(default=(), repr=False, compare=False)
    """The user's own modules in `sources`."""
    names: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The modules from which everything else follows, each with the place of its import."""

    @property
    def versions(self) -> dict[str, str]:
        """Version of each installed package that is loaded and has a `__version__`."""
        found = {name: _version(name) for name in (unit.name for unit, _ in self.units)}
        return {name: version for name, version in found.items() if isinstance(version, str)}

    def distribution(self, module: str) -> str:
        """Return the canonical name of the distribution with this installed module, if known."""
        owner = next((owner_of(unit) for unit, _ in self.units if unit.name == module), None)
        return canonicalize_name(name_of(owner) if owner else module)

    def extended(self, reach: Reach) -> Need:
        """Return the need extended by what unpickling an item with this reach needs; itself if that adds nothing.

        Raises
        ------
        PackageError
            Something needed cannot be shipped.
        """
        names = dict.fromkeys((*reach.modules, *imports_of_code(reach.codes)), "used by the items")
        if not names.keys() - self.names:
            return self
        need = need_of({**names, **self.names}, self.request)
        if self.named:
            need = replace(need, named=self.named, environment=self.environment)
        same = (need.units, need.projects, need.sources) == (self.units, self.projects, self.sources)
        return replace(self, names=need.names) if same else need

    @property
    def inline(self) -> bool:
        """Whether `sources` are small enough to be sent with every invocation."""
        return 0 < len(self.sources) <= INLINE

    @property
    def layered(self) -> bool:
        """Whether `sources` go into a layer; data files change more often than a function and are sent with the job."""
        return len(self.sources) > INLINE and not self.request.data


def discover(reach: Reach, items: Iterable[Any], request: Request) -> Need:
    """Return what the function behind `reach` needs to run over `items`.

    Raises
    ------
    PackageError
        Something needed cannot be shipped.
    """
    names = dict.fromkeys(imports_of_code(reach.codes), "imported by the function")
    names |= dict.fromkeys(reach.modules, "used by the function")
    names |= dict.fromkeys(_modules_of_items(items), "used by the items")
    need = need_of(names, request)
    named = tuple(sorted(owners_of_called(reach.codes) | owners_of_searched(reach.codes)))
    return replace(need, named=named, environment=site_folders()) if named else need


def need_of(names: Mapping[str, str], request: Request) -> Need:
    """Return what the modules `names`, each with the place of its import, need.

    Raises
    ------
    PackageError
        Something needed cannot be shipped.
    """
    found = local.walk(names.items())
    units = [found.local[name] for name in sorted(found.local)]
    projects = local.editable_projects(units)
    return Need(
        units=tuple(found.installed[name] for name in sorted(found.installed)),
        projects=tuple(sorted(project.name for project in projects)),
        sources=local.pack(units, projects, request),
        imports=_installed({*names, *found.installed}, found.installed),
        request=request,
        environment=site_folders() if found.installed or projects or request.requirements else (),
        own=tuple(units),
        names=names,
    )


def _installed(names: Iterable[str], units: Mapping[str, Any]) -> tuple[str, ...]:
    """Return those of `names` that are one of `units`, or inside one."""
    return tuple(sorted(name for name in names if any(f"{name}.".startswith(f"{unit}.") for unit in units)))


def union(needs: Iterable[Need]) -> Need:
    """Return the installed packages that any of them needs; the user's own modules are sent with each job."""
    wanted = [need for need in needs if not need.request.nothing]
    return Need(
        units=tuple({unit.name: (unit, why) for need in wanted for unit, why in need.units}.values()),
        projects=tuple(sorted({name for need in wanted for name in need.projects})),
        named=tuple(sorted({name for need in wanted for name in need.named})),
        request=Request(
            requirements=tuple(dict.fromkeys(text for need in wanted for text in need.request.requirements)),
            files=tuple(dict.fromkeys(file for need in wanted for file in need.request.files)),
        ),
    )


def _modules_of_items(items: Iterable[Any]) -> Iterator[str]:
    """Inspect one item of each type, if that is cheap and does not consume the items."""
    yield type(items).__module__
    if isinstance(items, _CONTAINERS):
        # Items of one type mostly need the same. Those of a type that turns up later are handled when they are taken
        # (`dispatch.item_needs`).
        kinds = {type(item): item for item in itertools.islice(items, _LOOKED_AT)}
        for item in kinds.values():
            if type(item).__module__ != "builtins" or isinstance(item, _CONTAINERS):
                yield from _modules_of(item)


def _modules_of(item: object) -> Iterator[str]:
    try:
        reach = dumps(item)[1]
    except KeyboardInterrupt:
        raise
    except BaseException:
        # An item that cannot be pickled is reported for its task.
        return
    yield from reach.modules
    yield from imports_of_code(reach.codes)


def _version(module: str) -> object:
    # Not getattr, because some packages warn on attribute access.
    return vars(sys.modules[module]).get("__version__") if module in sys.modules else None
