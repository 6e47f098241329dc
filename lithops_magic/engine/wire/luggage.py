"""Pickles a function with the modules of the user's own as the notebook has them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from lithops_magic import packages
from lithops_magic.packages import Need, Reach, Request
from lithops_magic.worker import packing


@dataclass(frozen=True, slots=True)
class Luggage:
    """A pickled function, and what it needs."""

    data: bytes
    views: list[memoryview]
    """Its large buffers."""
    reach: Reach
    need: Need
    notes: tuple[str, ...] = ()
    """What the user should know, one sentence each."""


def pack(function: Callable[..., Any] | tuple[Any, ...], items: Iterable[Any], request: Request) -> Luggage:
    """Pickle `function`; raises what pickling it raises.

    Raises
    ------
    PackageError
        Something it needs cannot be shipped.
    """
    packages.release()
    by_name = _pack(function, items, request)
    differ = packages.differing(by_name.need.own, by_name.reach.modules)
    if not differ:
        return by_name
    packages.carry(by_name.need.own, differ)
    try:
        by_value = _pack(function, items, request)
    except Exception as error:
        packages.release()
        return _noted(by_name, [_note(differ, f"tasks run what the files say, because {_short(error)}")])
    imported = [name for name in differ if name in by_value.need.names]
    notes = [_note(differ, "tasks run what the notebook has")] if imported != differ else []
    if imported:
        notes.append(_note(imported, "the function imports what the file says; import it outside of the function"))
    return _noted(by_value, notes)


def _pack(function: object, items: Iterable[Any], request: Request) -> Luggage:
    buffers = packing.Buffers()
    data, reach = packages.dumps(function, buffers.take)
    looked_for = packages.looked_for(reach.codes, request.data)
    notes = (_not_there(looked_for),) if looked_for else ()
    return Luggage(data, buffers.views, reach, packages.discover(reach, items, request), notes)


def _noted(luggage: Luggage, notes: Iterable[str]) -> Luggage:
    return replace(luggage, notes=(*luggage.notes, *notes))


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
        f"importlib.reload({names[0]}) takes what the file says"
    )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
