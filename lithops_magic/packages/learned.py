"""Undeclared dependencies of distributions, learned in this notebook's environment and saved.

A distribution's optional dependencies only show when a task looks for them in vain (`worker.imports`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Container, Iterable, Mapping

from lithops_magic.packages.cache import Cache
from lithops_magic.packages.distributions import NOT_SHIPPED, installed
from lithops_magic.packages.missing_module import distribution_of
from lithops_magic.packages.platform import PROVIDED
from lithops_magic.working_folder import working_folder


def beside(shipped: Iterable[str]) -> dict[str, str]:
    """Return what should accompany the distributions `shipped` and the user's own code, with what asked for it."""
    learned = _read()
    askers = [name for name in (*shipped, _own()) if name in learned]
    # What was uninstalled since is not wanted any longer.
    found = {name: asker for asker in askers for name in learned[asker] if installed(name)}
    own = _own()
    return {name: "asked for by a task" if asker == own else f"used by {asker}" for name, asker in found.items()}


def remember(distributions: Mapping[str, str]) -> None:
    """Save distributions, each with the module that asked for it."""
    learned = _read()
    for distribution, asker in distributions.items():
        names = learned.setdefault(_asker(asker), [])
        if distribution not in names:
            names.append(distribution)
    _write(learned)


def remembered(distributions: Iterable[str]) -> list[str]:
    """Return those of these distributions that are saved."""
    saved = {name for names in _read().values() for name in names}
    return [name for name in distributions if name in saved]


def forget(distributions: Container[str]) -> None:
    """Forget distributions that cannot be shipped."""
    learned = _read()
    left = {asker: [name for name in names if name not in distributions] for asker, names in learned.items()}
    if left != learned:
        _write(left)


def _asker(module: str) -> str:
    """Return the distribution that has a module if it is shipped, else the user's own code."""
    name = distribution_of(module.partition(".")[0])
    return name if name and name not in PROVIDED | NOT_SHIPPED else _own()


def _write(learned: Mapping[str, list[str]]) -> None:
    # What cannot be saved is learned again.
    with contextlib.suppress(OSError):
        Cache.of_user().write(file_of_environment("learned"), json.dumps(learned).encode())


def _read() -> dict[str, list[str]]:
    with contextlib.suppress(OSError, ValueError):
        learned = json.loads(Cache.of_user().read(file_of_environment("learned")) or "{}")
        if isinstance(learned, dict):
            return {str(asker): [str(name) for name in names] for asker, names in learned.items()}
    return {}


def file_of_environment(what: str) -> str:
    """Return the name of a file in the cache for this notebook's environment."""
    environment = f"{sys.prefix} {sys.version_info.major}.{sys.version_info.minor}"
    return f"{what}-{hashlib.sha256(environment.encode()).hexdigest()[:16]}.json"


def _own() -> str:
    """Return the name that stands for the code of the notebooks in this folder."""
    return f"./{working_folder()}"
