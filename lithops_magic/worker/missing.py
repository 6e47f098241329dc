"""Remembers which modules and distributions were asked for and not found, also where nobody hears of the ImportError.

A package that does without another one asks once, often while it is imported, and fails much later: what was asked for
since the sandbox began is therefore kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

MOST, LONGEST = 300, 100
"""Names that are kept, and characters of one."""

_asked: dict[tuple[str, str], None] = {}


class _Last:
    """Finds nothing: it stands behind all finders and is asked only for what none of them has."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        """Note a module's name."""
        _note(name)

    def find_distributions(self, context: Any) -> Iterable[Any]:
        """Note a distribution's name."""
        if isinstance(context.name, str):
            _note(f"{context.name}==")
        return ()


def watch() -> None:
    """Begin to remember."""
    if not any(isinstance(finder, _Last) for finder in sys.meta_path):
        sys.meta_path.append(_Last())


def asked() -> list[list[str]]:
    """Return who asked for what: the module's name, and the module's or, with ``==`` behind it, distribution's."""
    return [list(pair) for pair in _asked]


def _note(name: str) -> None:
    if len(_asked) < MOST and len(name) <= LONGEST and name.partition(".")[0] not in sys.stdlib_module_names:
        _asked.setdefault((_asker()[:LONGEST], name))


def _asker() -> str:
    """The name of the module that is behind the machinery of imports."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name != __name__ and name.partition(".")[0] != "importlib":
            return str(name)
        frame = frame.f_back
    return ""
