"""The parts of this package that can travel with a function: readers of its items, and the Lithops API."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

NAME = __name__.partition(".")[0]
FOLDER = Path(__file__).parent.parent
LITHOPS = "lithops"
READERS = f"{NAME}.data.inside"
"""Code that reads a job's items; it needs nothing that a sandbox lacks."""
UNITS = (NAME, READERS)
"""Parts that are each shipped as one unit; the first has only a small part of the package."""
ALIAS = FOLDER / "lithops" / "alias" / f"{LITHOPS}.py"
"""Imports our module if a program says `import lithops`."""

_PART = "lithops"
_BASE = ("__init__.py", "aws/storage/names.py", "closest.py", "globs.py", "user_code.py", "working_folder.py")
"""What the first unit imports besides the errors; sandboxes do not need its lazy imports."""


def find(name: str) -> tuple[str, Path, Path] | None:
    """Return the unit for one of our modules: its name, its folder or file, and where that is found."""
    if f"{name}.".startswith(f"{READERS}."):
        return READERS, FOLDER.joinpath(*READERS.split(".")[1:]), FOLDER.parent
    if f"{name}.".startswith(f"{NAME}.{_PART}."):
        return NAME, FOLDER, FOLDER.parent
    if name.partition(".")[0] == LITHOPS and is_stand_in():
        return LITHOPS, ALIAS, ALIAS.parent
    return None


def is_stand_in() -> bool:
    """Whether `import lithops` imports our module in this process."""
    return getattr(sys.modules.get(LITHOPS), "__name__", "") == f"{NAME}.{LITHOPS}"


def files() -> Iterator[Path]:
    """Yield the files shipped as the first unit."""
    yield from (FOLDER / name for name in _BASE)
    for part in (_PART, "errors"):
        yield from sorted((FOLDER / part).rglob("*.py"))
