"""Finds distributions whose modules are never imported by name, only through the entry points they advertise."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from types import CodeType

from packaging.utils import canonicalize_name

from lithops_magic.packages.distributions import NOT_SHIPPED, installed
from lithops_magic.packages.imports import strings_beside, strings_of_file
from lithops_magic.packages.metadata import direct_url, name_of
from lithops_magic.packages.modules import find_file
from lithops_magic.packages.platform import PROVIDED
from lithops_magic.packages.site_folders import site_folders

_GROUP = re.compile(r"\[(.*)\]")
_TOOLS = re.compile(
    r"(?:console_scripts|gui_scripts|jupyter\w*|(?:distutils|setuptools|egg_info|pytest|ipython|nbconvert|sphinx|flake8"
    r"|pylint|mypy|mkdocs|babel|virtualenv|tox|hatch|poetry|pdm|keyring|cibuildwheel)(?:[._\d].*)?)"
)
"""Groups of programs for developers and notebooks, which tasks do not run."""


_MANAGERS = {
    *("iter_entry_points", "load_entry_point", "get_entry_info", "get_entry_map", "get_distribution", "require"),
    *("ExtensionManager", "DriverManager", "HookManager", "NamedExtensionManager", "EnabledExtensionManager"),
    *("DispatchExtensionManager", "NameDispatchExtensionManager"),
}
"""Functions of pkg_resources and classes of stevedore, whose searches a sandbox does not record."""
_SEPARATORS = "._:/-"
FEW = 3
"""Most distributions with plugins of one group that are shipped without having been named."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point of an installed distribution."""

    group: str
    name: str
    module: str
    distribution: str
    """Canonical name."""

    @property
    def names(self) -> tuple[str, ...]:
        """How an error message may call it."""
        return self.name, self.distribution, self.module.partition(".")[0]


def group_of(asked: str) -> str | None:
    """Return the group, possibly unknown and empty, of a recorded search for entry points; None if it is not one."""
    found = _GROUP.fullmatch(asked)
    return found[1] if found else None


def plugins(asker: str, group: str, used: Collection[str]) -> list[Plugin]:
    """Return the plugins installed here that a search for entry points would find.

    Parameters
    ----------
    asker
        The module that searches.
    group
        The group, as far as a sandbox can tell; otherwise guessed, for a notebook's own code only as any.
    used
        Modules and distributions in use, whose names may begin the name of a group.
    """
    advertised = _advertised(site_folders())
    if group in advertised:
        return list(advertised[group])
    file = None if asker == "__main__" else find_file(asker)
    texts = strings_of_file(file)[0] if file is not None and file.suffix == ".py" else ()
    owners = {canonicalize_name(name) for name in (asker.partition(".")[0], *used)}
    related = [one for one in advertised if asker == "__main__" or _is_made_of(one, texts) or _owner(one) in owners]
    return [plugin for one in related for plugin in advertised[one]]


def owners_of_searched(codes: Iterable[CodeType]) -> set[str]:
    """Return the installed distributions, or those with plugins of a group, that code looks up by strings."""
    texts = set(strings_beside(codes, _MANAGERS))
    found: set[str] = {canonicalize_name(name) for name in texts if installed(name)}
    advertised = _advertised(site_folders()) if texts else {}
    for group in (one for one in advertised if _is_made_of(one, texts)):
        owners = {plugin.distribution for plugin in advertised[group]}
        found |= owners if len(owners) <= FEW else set()
    return found - NOT_SHIPPED - PROVIDED


def _is_made_of(group: str, texts: Collection[str]) -> bool:
    """Whether code with these strings may name a group, as one of them or as two that it joins."""
    halves = ((group[:at], group[at:]) for at in range(1, len(group)))
    return group in texts or any(
        first in texts and (second in texts or (second[0] in _SEPARATORS and second[1:] in texts))
        for first, second in halves
    )


def _owner(group: str) -> str:
    return canonicalize_name(re.split(r"[._:/]", group)[0])


@functools.lru_cache(maxsize=1)
def _advertised(_folders: object) -> dict[str, list[Plugin]]:
    """Return the plugins in this environment by group."""
    found: dict[str, dict[tuple[str, str], Plugin]] = {}
    for distribution in importlib.metadata.distributions():
        name = canonicalize_name(name_of(distribution))
        info = direct_url(distribution).get("dir_info")
        # Modules in editable mode are the user's own, and shipped where they are imported.
        if name in NOT_SHIPPED | PROVIDED or (isinstance(info, dict) and info.get("editable")):
            continue
        try:
            points = list(distribution.entry_points)
        except Exception:  # whatever its author wrote
            continue
        for point in points:
            if not _TOOLS.fullmatch(point.group):
                plugin = Plugin(point.group, point.name, point.value.partition(":")[0].strip(), name)
                # The first distribution of a name on the path is the one in use.
                found.setdefault(point.group, {}).setdefault((point.name, name), plugin)
    return {group: list(those.values()) for group, those in found.items()}
