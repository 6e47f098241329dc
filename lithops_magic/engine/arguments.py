"""The arguments of a call of `map` besides its options: which are refused, and how several iterables become one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lithops_magic.config.settings import Settings
from lithops_magic.engine.options import flag
from lithops_magic.engine.text.short_repr import short_repr
from lithops_magic.errors import MisuseError


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


def zipped(iterables: Sequence[Iterable[Any]]) -> Iterable[Any]:
    """Return the sequence to map over: the items, or tuples of several iterables up to the end of the shortest."""
    if len(iterables) == 1:
        return iterables[0]
    from lithops_magic.engine.dispatch.items import Items

    parts = [Items(each) for each in iterables]
    together = zip(*[part.iterator for part in parts], strict=False)
    # A list has a length, so that progress knows its total.
    return list(together) if all(part.complete for part in parts) else together
