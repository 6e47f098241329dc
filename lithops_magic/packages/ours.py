"""What of this package itself can travel with a function: parts that tasks may use, which need nothing of the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

NAME = __name__.partition(".")[0]
FOLDER = Path(__file__).parent.parent
STANDS_FOR = "lithops"
ALIAS = FOLDER / "lithops" / "alias" / f"{STANDS_FOR}.py"
"""Imports our module where a program says `import lithops`."""

_PARTS = ("lithops",)
_BASE = (
    "__init__.py",
    "aws/storage/names.py",
    "closest.py",
    "user_code.py",
    "working_folder.py",
)
"""What the parts import at first; what they import where it is needed, a sandbox does not need."""


def has(name: str) -> bool:
    """Whether a module is in one of these parts."""
    package, _, rest = name.partition(".")
    return package == NAME and rest.partition(".")[0] in _PARTS


def stands_in() -> bool:
    """Whether `import lithops` imports our module in this process."""
    return getattr(sys.modules.get(STANDS_FOR), "__name__", "") == f"{NAME}.{STANDS_FOR}"


def files() -> Iterator[Path]:
    """Yield the files that make up these parts."""
    yield from (FOLDER / name for name in _BASE)
    for part in (*_PARTS, "errors"):
        yield from sorted((FOLDER / part).rglob("*.py"))
