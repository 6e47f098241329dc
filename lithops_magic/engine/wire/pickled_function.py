"""Pickles a function together with the user's own modules, in their current state."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from lithops_magic import packages
from lithops_magic.engine.wire import captures
from lithops_magic.engine.wire.container import PIECE
from lithops_magic.packages import Need, Reach, Request
from lithops_magic.worker import packing


@dataclass(frozen=True, slots=True)
class PickledFunction:
    """A pickled function, and what it needs."""

    pickles: list[list[bytes]]
    """The pickles, as written; the last is the function's."""
    views: list[memoryview]
    """Their large buffers."""
    reach: Reach
    need: Need
    notes: tuple[str, ...] = ()
    """Notes for the user, one sentence each."""

    @property
    def data(self) -> bytes:
        """The pickle, if there is only one."""
        (pieces,) = self.pickles
        return b"".join(pieces)

    @property
    def size(self) -> int:
        """Total bytes."""
        return sum(len(piece) for pieces in self.pickles for piece in pieces) + sum(map(len, self.views))


def pack(function: Callable[..., Any] | tuple[Any, ...], items: Iterable[Any], request: Request) -> PickledFunction:
    """Pickle `function`; raises whatever pickling raises.

    Raises
    ------
    PackageError
        A requirement cannot be shipped.
    """
    # What an earlier job pickled by value may match its file again.
    packages.release()
    by_name = _pack(function, items, request)
    differ = packages.differing(by_name.need.own, by_name.reach.modules)
    if not differ:
        return by_name
    packages.carry(by_name.need.own, differ)
    try:
        by_value = _pack(function, items, request)
    # A module by value may hold what cannot be pickled. The file's version runs, and the user is told, rather than
    # nothing.
    except Exception as error:
        packages.release()
        return _noted(by_name, [_note(differ, f"tasks run what the files say, because {_short(error)}")])
    imported = [name for name in differ if name in by_value.need.names]
    notes = [_note(differ, "tasks run what the notebook has")] if imported != differ else []
    if imported:
        notes.append(_note(imported, "the function imports what the file says; import it outside of the function"))
    return _noted(by_value, notes)


def _pack(function: object, items: Iterable[Any], request: Request) -> PickledFunction:
    pickles, views, reach = _dump(function)
    looked_for = packages.looked_for(reach.codes, request.data)
    notes = (*request.notes, *([_not_there(looked_for)] if looked_for else []))
    return PickledFunction(pickles, views, reach, packages.discover(reach, items, request), notes)


def _dump(function: object) -> tuple[list[list[bytes]], list[memoryview], Reach]:
    """Pickle a function, after its captures if these are large even without the pieces stored separately anyway."""
    dumped = _dump_each([function])
    if sum(len(piece) for piece in dumped[0][0] if len(piece) < PIECE) < PIECE:
        return dumped
    # Sorted by name, because an edited line may use them in another order.
    values = [capture.value for capture in sorted(captures.captures(function), key=lambda one: one.name)]
    try:
        return _dump_each([*values, function])
    except Exception:  # objects that refer to themselves through their constructor must not come first
        return dumped


def _dump_each(values: Iterable[object]) -> tuple[list[list[bytes]], list[memoryview], Reach]:
    buffers = packing.Buffers()
    pickles, reach = packages.dump_each(values, buffers.take)
    return pickles, buffers.views, reach


def _noted(pickled_function: PickledFunction, notes: Iterable[str]) -> PickledFunction:
    return replace(pickled_function, notes=(*pickled_function.notes, *notes))


def _not_there(names: list[str]) -> str:
    quoted = " ".join(map(shlex.quote, names))
    one = len(names) == 1
    return (
        f"the function looks for {', '.join(names)}, which {'is' if one else 'are'} on this machine and not in the "
        f"sandboxes: ship {'it' if one else 'them'} with files (--files {quoted})"
    )


def _note(names: list[str], what: str) -> str:
    some = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return (
        f"{some}: edited, patched or set since the import, so notebook and file differ: {what}; "
        f"importlib.reload({names[0]}) loads what the file says"
    )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
