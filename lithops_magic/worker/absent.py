"""Records which modules and distributions were not found, even if the ImportError was caught.

A package tries an optional dependency once, often at its own import, and fails much later: so everything since the
sandbox started is recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

MOST, LONGEST = 300, 100
"""Most names recorded, and characters of one."""

_asked: dict[tuple[str, str], None] = {}
_told = 0


class _Last:
    """A finder that finds nothing: as the last one, it is asked only for what no other one has."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        """Record a module's name."""
        _note(name)

    def find_distributions(self, context: Any) -> Iterable[Any]:
        """Record a distribution's name, or the group of entry points for which all are searched."""
        _note(f"{context.name}==" if context.name else "")
        return ()


def watch() -> None:
    """Start recording."""
    sys.meta_path.append(_Last())


def asked() -> list[list[str]]:
    """Return pairs: the asking module, and the missing module, distribution (``==`` appended) or ``[group]``."""
    return [list(pair) for pair in _asked]


def news() -> list[list[str]]:
    """Return the pairs since the last call."""
    global _told
    before, _told = _told, len(_asked)
    return asked()[before:]


def _note(name: str) -> None:
    asker, group = _asker()
    name = name or f"[{group if isinstance(group, str) else ''}]"
    if len(_asked) < MOST and len(name) <= LONGEST and name.partition(".")[0] not in sys.stdlib_module_names:
        _asked.setdefault((asker[:LONGEST], name))


def _asker() -> tuple[str, Any]:
    """Return the name of the module that runs the import statement, and which group of entry points it seems to want.

    The group is an argument of `entry_points`, or of a function that searches all distributions for it.
    """
    frame: FrameType | None = sys._getframe(1)
    group = None
    while frame is not None:
        name, found = frame.f_globals.get("__name__") or "", frame.f_locals
        if not name.startswith(("importlib", __name__)):
            return str(name), group or found.get("group")
        if "params" in found:
            group = found["params"].get("group")
        frame = frame.f_back
    return "", None
