"""Finds which part of an object cannot be pickled, and where it is: ``result['model'].lock``."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any

from . import packing
from .alarm import TimeIsUp

DEPTH = 12
ATTEMPTS = 500
"""Maximum parts to try: the search only improves a message, and must end."""
SECONDS = 2.0


class _NullFile:
    """A file that discards everything, so that trial pickles take no memory."""

    def write(self, data: Any) -> int:
        return len(data)


class _Search:
    def __init__(self) -> None:
        self._end = time.monotonic() + SECONDS
        self._left = ATTEMPTS
        self._seen: set[int] = set()

    def descend(self, value: Any, path: str, failure: BaseException) -> tuple[Any, str, BaseException]:
        """Follow the first part that cannot be pickled, as deep as possible."""
        # Bounded, like everything here: objects can generate new parts forever.
        for _ in range(DEPTH):
            found = self._part(value, path)
            if found is None:
                break
            value, path, failure = found
        return value, path, failure

    def _part(self, value: Any, path: str) -> tuple[Any, str, BaseException] | None:
        for part, place in _parts(value, path):
            if type(part) in packing.PLAIN or id(part) in self._seen:
                continue
            self._left -= 1
            if self._left < 0 or time.monotonic() > self._end:
                return None
            self._seen.add(id(part))
            if failure := _failure(packing.Pickler(_NullFile(), lambda _: False).dump, part):
                return part, place, failure
        return None


def locate(value: Any, name: str, failure: BaseException) -> str:
    """Describe the cause of `failure` and where in `value` it is; `name` is what to call `value`."""
    return find(value, name, failure)[1]


def find(value: Any, name: str, failure: BaseException) -> tuple[Any, str]:
    """Return the part of `value` that caused `failure`, and `locate`'s description of it."""
    part, path, reason = _Search().descend(value, name, failure)
    text = " ".join(str(reason).split()) or type(reason).__name__
    return part, text if path == name else f"{path}: {text}"


def _failure(call: Any, value: Any) -> BaseException | None:
    """Return what `call` raises; an object's own methods may raise anything."""
    try:
        call(value)
    except (KeyboardInterrupt, TimeIsUp):
        raise
    except BaseException as error:
        return error
    return None


def _parts(value: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Yield an object's parts as pickle would visit them by default."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield key, f"the key {_short(key)} of {path}"
            yield part, f"{path}[{_short(key)}]"
    elif isinstance(value, list | tuple):
        yield from ((part, f"{path}[{position}]") for position, part in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from ((part, f"an element of {path}") for part in value)
    elif isinstance(value, FunctionType):
        variables = inspect.getclosurevars(value)
        used = {**variables.globals, **variables.nonlocals}
        yield from ((part, f"{path}'s {name}") for name, part in used.items())
    elif isinstance(value, MethodType):
        yield value.__self__, f"{path}.__self__"
    elif isinstance(value, type):
        yield from ((part, f"{path}.{name}") for name, part in vars(value).items() if not name.startswith("__"))
    else:
        yield from _attributes(value, path)


def _attributes(value: Any, path: str) -> Iterator[tuple[Any, str]]:
    if _failure(value.__reduce_ex__, 4):
        return  # it refuses by itself, whatever it is made of
    for name, part in dict(getattr(value, "__dict__", {})).items():
        yield part, f"{path}.{name}"
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(value, name):
                yield getattr(value, name), f"{path}.{name}"


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 40 else text[:39] + "…"
