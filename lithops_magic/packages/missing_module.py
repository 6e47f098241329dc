"""Locates a module that a sandbox lacks: in a distribution installed here, in the user's own files, or nowhere."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

from packaging.utils import canonicalize_name

from lithops_magic.packages.distributions import NOT_SHIPPED, installed, owner_of
from lithops_magic.packages.editable import contents_of, is_editable, units_of
from lithops_magic.packages.metadata import name_of
from lithops_magic.packages.modules import find_file, find_unit, is_compiled, namespace_folders
from lithops_magic.packages.platform import Target
from lithops_magic.packages.trim import VARIABLE, trims

DISTRIBUTION = "=="
"""Suffix of the name of a distribution that was looked up as such."""


def distribution_of(name: str) -> str:
    """Return the canonical name of the installed distribution that has a module; empty if there is none."""
    if name.endswith(DISTRIBUTION):
        found = installed(name.removesuffix(DISTRIBUTION))
        return canonicalize_name(name_of(found)) if found else ""
    unit = find_unit(name)
    if unit is None or unit.kind != "installed" or find_file(name) is None:
        return ""
    owner = owner_of(unit)
    return canonicalize_name(name_of(owner)) if owner else ""


def provider_of(name: str) -> str:
    """Return the distribution that has a module; of those that have a part of a namespace package, the smallest.

    Once there is a part of it, tasks look for the others by their own names.
    """
    if found := distribution_of(name):
        return found
    return "" if name.endswith(DISTRIBUTION) else _editable_with(name) or _smallest_part_of(name)


def _editable_with(name: str) -> str:
    """Return the distribution, installed in editable mode, that has a module or a part of a namespace package."""
    for one in filter(is_editable, importlib.metadata.distributions()):
        units = [f"{unit.name}." for unit in units_of(one)]
        if any(unit.startswith(f"{name}.") or f"{name}.".startswith(unit) for unit in units):
            return canonicalize_name(name_of(one))
    return ""


def _smallest_part_of(namespace: str) -> str:
    start = f"{namespace.replace('.', '/')}/"
    found = {
        canonicalize_name(name_of(one)): sum(file.size or 0 for file in contents_of(one))
        for root in map(Path, namespace_folders(namespace))
        for one in importlib.metadata.distributions(path=[str(root.parents[namespace.count(".")])])
        if any(file.name.startswith(start) for file in contents_of(one))
    }
    return min(found, key=lambda name: (found[name], name), default="")


def explain(name: str) -> str:
    """Explain what to do about a module that a task did not find.

    Never suggests a package that is not installed here: anyone may have registered the name.
    """
    top = name.partition(".")[0]
    if distribution := provider_of(name) or provider_of(top):
        if "tests" in name.split(".")[1:] and trims():
            return f"packages are shipped without their tests: {VARIABLE}=off in the notebook's environment ships all"
        if distribution_of(name.rpartition(".")[0]) == distribution:
            # The package around it was found.
            return f"the {distribution} there has no {name}"
        what = "belongs to the notebook itself and" if distribution in NOT_SHIPPED else "is installed here and"
        return f"it {what} was not shipped: name it with --packages {distribution}"
    unit = find_unit(name) or find_unit(top)
    if unit is not None and unit.kind == "local":
        if (file := find_file(name)) is not None and is_compiled(file):
            # In an image, too, the sources of a package that are shipped would hide its compiled parts.
            helps = not unit.is_package and Target.of("x86_64").image_is_newer
            image = ", or to `lithops-magic image` if it needs a newer C library" if helps else ""
            return (
                f"{file.name} is compiled for this machine and would not run on Lambda: build a wheel of it for Linux "
                f"and pass it with --packages PATH.whl{image}, or catch the ImportError"
            )
        return f"{unit.path.name} is your own, and is shipped only if the cell visibly imports it: import {name} there"
    if folder := next(iter(namespace_folders(top)), ""):
        if next(Path(folder).rglob("*.py"), None) is None:
            return f"{folder} has no modules, only files: ship them with --files {folder}"
        return f"{folder} is your own, and is shipped only if the cell visibly imports it: import {name} there"
    if top in sys.stdlib_module_names:
        return f"Lambda's Python has no {top}"
    return "it is not installed where the notebook runs either"
