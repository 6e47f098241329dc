"""Leaves out package files that no program needs."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from lithops_magic.packages.imports import imports_of_file

_METADATA = ("METADATA", "PKG-INFO", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt")
"""Metadata that programs read: RECORD tells them which distribution has a module."""
_LICENSES = ("licen", "copying", "notice", "authors")

VARIABLE = "LITHOPS_MAGIC_TRIM"
"""Set to ``off``, it keeps packages as they are, except for bytecode."""
_TESTS_IMPORTED = re.compile(rb"^[ \t]*(?:from|import)\b(?:[^\n#(]*|[^\n#(]*\([^)]*)\btests\b", re.MULTILINE)
"""Quick check whether a file's imports are worth inspecting."""
_SUITE = re.compile(r"(.+/tests)/(?:__init__|test_[^/]*)\.py")


def trim(files: Mapping[str, Path]) -> dict[str, Path]:
    """Return the files without those that no program imports: tests, bytecode, static libraries, installer metadata.

    Type stubs stay, because `lazy_loader` reads a package's contents from them.
    """
    wanted = {name: path for name, path in files.items() if "__pycache__" not in name.split("/")}
    if not trims():
        return wanted
    wanted = {name: path for name, path in wanted.items() if _is_used(name)}
    return _without_tests(wanted)


def trims() -> bool:
    """Whether anything is left out."""
    return os.environ.get(VARIABLE, "").lower() not in ("off", "0", "no", "false")


def _is_used(name: str) -> bool:
    top, _, rest = name.partition("/")
    if top.endswith(".dist-info") and rest:
        first = rest.partition("/")[0]
        return first in _METADATA or first.lower().startswith(_LICENSES)
    # uv leaves `.lock` in a folder into which it installs.
    return not f"/{name}".endswith((".a", "/.lock"))


def _without_tests(files: dict[str, Path]) -> dict[str, Path]:
    """Leave out test packages, except for modules that others import."""
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
    """Return the test modules imported from outside tests, and the test modules these import in turn."""
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
    # The first check rejects almost everything in a tenth of the time.
    return b"tests" in source and bool(_TESTS_IMPORTED.search(source))


def _files(module: str) -> Iterator[str]:
    parts = module.split(".")
    if "tests" in parts:
        yield from (f"{'/'.join(parts)}/__init__.py", f"{'/'.join(parts)}.py")
