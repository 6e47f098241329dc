"""What of this package itself can travel with a function: what reads its items, and what programs call Lithops."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

NAME = __name__.partition(".")[0]
FOLDER = Path(__file__).parent.parent
STANDS_FOR = "lithops"
READERS = f"{NAME}.data.inside"
"""What reads the items of a job; it needs nothing that a sandbox has not."""
UNITS = (NAME, READERS)
"""What is shipped as one; the first is far from all of the package."""
ALIAS = FOLDER / "lithops" / "alias" / f"{STANDS_FOR}.py"
"""Imports our module where a program says `import lithops`."""

_PART = "lithops"
_BASE = ("__init__.py", "aws/storage/names.py", "closest.py", "globs.py", "user_code.py", "working_folder.py")
"""What it imports at first beside the errors; what it imports only where it is needed, a sandbox does not need."""


def find(name: str) -> tuple[str, Path, Path] | None:
    """Return as what a module of ours is shipped: its name, its folder or file, and where that is found."""
    if f"{name}.".startswith(f"{READERS}."):
        return READERS, FOLDER.joinpath(*READERS.split(".")[1:]), FOLDER.parent
    if f"{name}.".startswith(f"{NAME}.{_PART}."):
        return NAME, FOLDER, FOLDER.parent
    if name.partition(".")[0] == STANDS_FOR and stands_in():
        return STANDS_FOR, ALIAS, ALIAS.parent
    return None


def stands_in() -> bool:
    """Whether `import lithops` imports our module in this process."""
    return getattr(sys.modules.get(STANDS_FOR), "__name__", "") == f"{NAME}.{STANDS_FOR}"


def files() -> Iterator[Path]:
    """Yield what is shipped as the first of the units."""
    yield from (FOLDER / name for name in _BASE)
    for part in (_PART, "errors"):
        yield from sorted((FOLDER / part).rglob("*.py"))
