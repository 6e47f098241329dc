"""Locates a module that a sandbox lacks: in a distribution installed here, in the user's own files, or nowhere."""

from __future__ import annotations

import sys

from packaging.utils import canonicalize_name

from lithops_magic.packages.distributions import NOT_SHIPPED, installed, owner_of
from lithops_magic.packages.metadata import name_of
from lithops_magic.packages.modules import find_file, find_unit, is_compiled
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


def explain(name: str) -> str:
    """Explain what to do about a module that a task did not find.

    Never suggests a package that is not installed here: anyone may have registered the name.
    """
    top = name.partition(".")[0]
    if distribution := distribution_of(name) or distribution_of(top):
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
            return (
                f"{file.name} is compiled for this machine and would not run on Lambda: build a wheel of it for Linux "
                "and pass it with --packages PATH.whl, use a container image, or catch the ImportError"
            )
        return f"{unit.path.name} is your own, and is shipped only if the cell visibly imports it: import {name} there"
    if top in sys.stdlib_module_names:
        return f"Lambda's Python has no {top}"
    return "it is not installed where the notebook runs either"
