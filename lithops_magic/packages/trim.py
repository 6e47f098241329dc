"""Leaves out files of packages that no program needs."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from lithops_magic.packages.imports import imports_of_file

_METADATA = ("METADATA", "PKG-INFO", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt")
"""What programs read of it: RECORD tells them which distribution has a module."""
_LICENCES = ("licen", "copying", "notice", "authors")

VARIABLE = "LITHOPS_MAGIC_TRIM"
"""Set to ``off``, it leaves packages as they are; only bytecode goes."""
_TESTS_IMPORTED = re.compile(rb"^[ \t]*(?:from|import)\b(?:[^\n#(]*|[^\n#(]*\([^)]*)\btests\b", re.MULTILINE)
"""Whether it is worth while to look at the imports of a file."""
_SUITE = re.compile(r"(.+/tests)/(?:__init__|test_[^/]*)\.py")


def trim(files: Mapping[str, Path]) -> dict[str, Path]:
    """Return the files without those that no program imports: tests, bytecode, static libraries, installers' notes.

    Type stubs stay: `lazy_loader` reads from them what a package has.
    """
    kept = {name: path for name, path in files.items() if "__pycache__" not in name.split("/")}
    if not trims():
        return kept
    kept = {name: path for name, path in kept.items() if _is_used(name)}
    return _without_tests(kept)


def trims() -> bool:
    """Whether anything is taken out."""
    return os.environ.get(VARIABLE, "").lower() not in ("off", "0", "no", "false")


def _is_used(name: str) -> bool:
    top, _, rest = name.partition("/")
    if top.endswith(".dist-info") and rest:
        first = rest.partition("/")[0]
        return first in _METADATA or first.lower().startswith(_LICENCES)
    return not f"/{name}".endswith((".a", "/.lock"))


def _without_tests(files: dict[str, Path]) -> dict[str, Path]:
    """Leave out packages of tests, but for the modules of them that others import."""
    suites = {found[1] for name in files if (found := _SUITE.fullmatch(name))}
    used = _used(files) if suites else set()
    live = {suite for suite in suites if any(name.startswith(f"{suite}/") for name in used)}
    return {name: path for name, path in files.items() if _stays(name, suites, live, used)}


def _stays(name: str, suites: Collection[str], live: Collection[str], used: Collection[str]) -> bool:
    around = [suite for suite in suites if name.startswith(f"{suite}/")] if "/tests/" in name else []
    if any(suite not in live for suite in around):
        return False
    return not around or name in used or not name.endswith(".py") or name.endswith("/__init__.py")


def _used(files: Mapping[str, Path]) -> set[str]:
    """Return the test modules that are imported from outside of tests, and what they import of tests in turn."""
    used: set[str] = set()
    sources = [name for name in files if name.endswith(".py")]
    waiting = [name for name in sources if "/tests/" not in name and name.rpartition("/")[2] != "conftest.py"]
    while waiting:
        name = waiting.pop()
        if name not in used and not _imports_tests(files[name].read_bytes()):
            continue
        for module in imports_of_file(files[name], name.rpartition("/")[0].replace("/", ".")):
            for file in _files(module):
                if file in files and file not in used:
                    used.add(file)
                    waiting.append(file)
    return used


def _imports_tests(source: bytes) -> bool:
    # The first says no to nearly all, in a tenth of the time.
    return b"tests" in source and bool(_TESTS_IMPORTED.search(source))


def _files(module: str) -> Iterator[str]:
    parts = module.split(".")
    if "tests" in parts:
        yield from (f"{'/'.join(parts)}/__init__.py", f"{'/'.join(parts)}.py")
