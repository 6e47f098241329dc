"""The arguments of a call of `map` besides its options: which are refused, and how several iterables become one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lithops_magic.config.settings import Settings
from lithops_magic.engine.options import flag
from lithops_magic.engine.text.short_repr import short_repr
from lithops_magic.errors import MisuseError

_WAYS = ("__iter__", "__getitem__")


def check_call(
    function: Any, iterables: Sequence[Any], *, reduce: Any, settings: Any, background: Any, progress: Any
) -> None:
    """Reject arguments that are clearly wrong.

    Raises
    ------
    MisuseError
        An argument is wrong.
    """
    for name, value in (("function", function), *([("reduce", reduce)] if reduce is not None else [])):
        if not callable(value):
            raise MisuseError(f"map: {name} must be callable, not {short_repr(value)}")
    if not iterables:
        raise MisuseError("map: there is nothing to map over: map(function, items)")
    if settings is not None and not isinstance(settings, Settings):
        # Only the type: a dictionary of settings may hold credentials.
        wanted = "what lithops_magic.config.load() returns"
        raise MisuseError(f"map: settings must be {wanted}, not an object of type {type(settings).__name__}")
    flag("background", background)
    flag("progress", progress)


def check_items(items: Any) -> None:
    """Reject what cannot be iterated over, by its type alone: iterating may have effects.

    Raises
    ------
    MisuseError
        It has no way to be iterated over.
    """
    # Like the interpreter, not in its metaclass: a member of an enumeration is not iterable, its class is.
    found = {name: vars(kind)[name] for kind in type(items).__mro__[::-1] for name in _WAYS if name in vars(kind)}
    scalar = type(items).__module__ == "numpy" and getattr(items, "ndim", 1) == 0
    if scalar or found.get("__iter__", found.get("__getitem__")) is None:
        raise MisuseError(f"map: items must be iterable, not {short_repr(items)}")


def zipped(iterables: Sequence[Iterable[Any]]) -> Iterable[Any]:
    """Return the sequence to map over: the items, or tuples of several iterables up to the end of the shortest."""
    if len(iterables) == 1:
        return iterables[0]
    from lithops_magic.engine.dispatch.items import Items

    parts = [Items(each) for each in iterables]
    together = zip(*[part.iterator for part in parts], strict=False)
    # A list has a length, so that progress knows its total.
    return list(together) if all(part.complete for part in parts) else together
