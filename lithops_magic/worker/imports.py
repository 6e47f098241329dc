"""Records which modules and distributions were not found, even if the ImportError was caught.

A package tries an optional dependency once, often at its own import, and fails much later: so everything since the
sandbox started is recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

MAX_NAMES, MAX_LENGTH = 300, 100
"""Maximum number of names recorded, and of characters in one."""

_failed: dict[tuple[str, str], None] = {}
_reported = 0


class _LastFinder:
    """A finder that finds nothing: as the last one, it is asked only for what no other one has."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        """Record a module's name."""
        _record(name)

    def find_distributions(self, context: Any) -> Iterable[Any]:
        """Record a distribution's name, or the group of entry points for which all are searched."""
        _record(f"{context.name}==" if context.name else "")
        return ()


def install() -> None:
    """Start recording."""
    sys.meta_path.append(_LastFinder())


def failed() -> list[list[str]]:
    """Return pairs: the importing module, and the missing module, distribution (``==`` appended) or ``[group]``."""
    return [list(pair) for pair in _failed]


def newly_failed() -> list[list[str]]:
    """Return the pairs since the last call."""
    global _reported
    before, _reported = _reported, len(_failed)
    return failed()[before:]


def _record(name: str) -> None:
    """Record a module's or a distribution's name; if empty, a search for entry points of the group it seems to want.

    The group is an argument of `entry_points`, or of a function around the search, such as a plugin manager's.
    """
    frame: FrameType | None = sys._getframe(1)
    importer = group = ""
    while frame is not None and not (importer and (name or group)):
        module, found = str(frame.f_globals.get("__name__") or ""), frame.f_locals
        if module.startswith(("importlib", __name__)):
            found = found.get("params", found)
        else:
            importer = importer or module
        for key in "group", "namespace":
            if isinstance(found.get(key), str):
                group = group or found[key]
        frame = frame.f_back
    name = name or f"[{group}]"
    if len(_failed) < MAX_NAMES and len(name) <= MAX_LENGTH and name.partition(".")[0] not in sys.stdlib_module_names:
        _failed.setdefault((importer[:MAX_LENGTH], name))
