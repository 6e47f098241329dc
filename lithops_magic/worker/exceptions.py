"""An exception as bytes and back, without relying on its class's constructor, copying or pickling.

Each value in it is pickled separately: one that cannot be pickled is lost alone, not with the exception or the task.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

from . import packing

LIMIT = 1_000_000
"""Bytes of all values together; a reply holds six times as much."""
LINKS = 200
"""Maximum exceptions packed with one: causes, contexts, and members of groups."""
_REPR_LENGTH = 200
"""Characters of the repr that replaces an argument that cannot be pickled."""

_NOTES = "__notes__"


def pack(error: BaseException) -> bytes:
    """Pack `error` with its arguments, attributes, notes, causes and members, as far as they can be pickled."""
    packer = _Packer()
    packer.exception(error)
    return pickle.dumps(packer.pieces)


def unpack(data: bytes) -> BaseException:
    """Rebuild an exception from what `pack` returned.

    Raises
    ------
    Exception
        The data are not what `pack` returned.
    """
    return _Builder(pickle.loads(data)).exception(0)


def copy_as(kind: type[BaseException], error: BaseException) -> BaseException:
    """Make an exception of class `kind` with the arguments and attributes of `error`, but not its cause.

    Raises
    ------
    TypeError
        The class cannot be instantiated without its constructor.
    """
    made = _blank(kind, error)
    BaseException.args.__set__(made, arguments(error))  # type: ignore[attr-defined]
    for name, value in _members(error):
        _set_member(made, name, value)
    _attributes(made).update(_attributes(error))
    return made


def arguments(error: BaseException) -> tuple[Any, ...]:
    """Return the arguments of `error`, even if its class redefines `args`."""
    return BaseException.args.__get__(error)  # type: ignore[attr-defined, no-any-return]


def notes(error: BaseException) -> list[str]:
    """Return the notes added to `error`."""
    found = _attributes(error).get(_NOTES)
    return [note for note in found if type(note) is str] if isinstance(found, list | tuple) else []


class _Packer:
    def __init__(self) -> None:
        self.pieces: list[Any] = []
        """Pickles of values, and exceptions that refer to other pieces by position; the first is the one packed."""
        self._positions: dict[int, int | None] = {}
        self._referenced: list[Any] = []
        self._left = LIMIT
        self._links = LINKS

    def exception(self, error: BaseException) -> int | None:
        """Add an exception; None if there are too many."""
        if id(error) in self._positions:
            return self._positions[id(error)]
        if self._links == 0:
            return None
        self._links -= 1
        place, fields = self._reserve(error), dict[str, Any]()
        self.pieces.append(fields)
        fields["classes"] = list(self._classes(type(error)))
        fields["args"] = [self._argument(value) for value in arguments(error)]
        fields["members"] = self._pack_named(_members(error))
        fields["attributes"] = self._pack_named(iter(_attributes(error).items()))
        fields["notes"] = [note for note in notes(error)[:LINKS] if self._fits(len(note))]
        if isinstance(error, BaseExceptionGroup):
            # Not by attribute: a class may redefine these names.
            message = BaseExceptionGroup.message.__get__(error)
            fields["message"] = self._value(message)
            members = BaseExceptionGroup.exceptions.__get__(error)
            fields["group"] = [part for one in members if (part := self.exception(one)) is not None]
        fields["suppress"] = BaseException.__suppress_context__.__get__(error)  # type: ignore[attr-defined]
        for name in ("cause", "context"):
            other = getattr(BaseException, f"__{name}__").__get__(error)
            fields[name] = None if other is None else self.exception(other)
        if not _is_constructible(error):
            fields["whole"] = self._value(error)
        return place

    def _reserve(self, value: Any) -> int:
        self._referenced.append(value)  # else another value could reuse its id
        self._positions[id(value)] = len(self.pieces)
        return len(self.pieces)

    def _value(self, value: Any) -> int | None:
        """Add a pickled value; None if it cannot be pickled."""
        try:
            data = packing.dumps(value)
        except BaseException:  # the user's __reduce__ may raise anything
            return None
        if not self._fits(len(data)):
            return None
        self.pieces.append(data)
        return len(self.pieces) - 1

    def _fits(self, size: int) -> bool:
        """Reserve `size` bytes if that many are left."""
        fits = size <= self._left
        self._left -= size if fits else 0
        return fits

    def _shared(self, value: Any) -> int | None:
        if id(value) in self._positions:
            return self._positions[id(value)]
        if isinstance(value, BaseException):
            return self.exception(value)
        place = self._value(value)
        self._referenced.append(value)
        self._positions[id(value)] = place
        return place

    def _argument(self, value: Any) -> int | None:
        place = self._shared(value)
        return self._value(_text(value)) if place is None else place

    def _pack_named(self, values: Iterator[tuple[str, Any]]) -> dict[str, int]:
        found = {name: self._shared(value) for name, value in values if type(name) is str and name != _NOTES}
        return {name: place for name, place in found.items() if place is not None}

    def _classes(self, kind: type) -> Iterator[bytes]:
        """Yield candidate classes for the receiving end, best first."""
        for base in kind.__mro__:
            with contextlib.suppress(BaseException):
                data = packing.dumps(base)
                if self._fits(len(data)):
                    yield data
            if base.__module__ == "builtins":
                return


class _Builder:
    def __init__(self, pieces: list[Any]) -> None:
        self._pieces = pieces
        self._made: dict[int, Any] = {}

    def exception(self, place: int) -> BaseException:
        fields = self._pieces[place]
        self._made[place] = None  # a member of a group cannot have it as its cause
        error: BaseException = self._blank(fields)
        self._made[place] = error
        missing = "(cannot be unpickled here)"
        args = tuple(missing if one is None else self._get(one, missing) for one in fields["args"])
        if not isinstance(error, BaseExceptionGroup):
            BaseException.args.__set__(error, args)  # type: ignore[attr-defined]
        for name, one in fields["members"].items():
            if (value := self._get(one)) is not None:
                _set_member(error, name, value)
        for name, one in fields["attributes"].items():
            if (value := self._get(one, self)) is not self:
                _attributes(error)[name] = value
        if fields["notes"]:
            _attributes(error)[_NOTES] = list(fields["notes"])
        for name in ("cause", "context"):
            if fields[name] is not None:
                getattr(BaseException, f"__{name}__").__set__(error, self._get(fields[name]))
        BaseException.__suppress_context__.__set__(error, fields["suppress"])  # type: ignore[attr-defined]
        return error

    def _blank(self, fields: dict[str, Any]) -> BaseException:
        whole = self._get(fields["whole"]) if fields.get("whole") is not None else None
        if isinstance(whole, BaseException):
            return whole
        group = None
        if "group" in fields:
            members = [one for place in fields["group"] if isinstance(one := self._get(place), BaseException)]
            group = str(self._get(fields["message"], "")), members
        for data in fields["classes"]:
            with contextlib.suppress(BaseException):
                kind = packing.loads(data)
                return _new(kind, *group) if group else _new(kind)
        if group:
            return BaseExceptionGroup(*group)
        return Exception()

    def _get(self, place: int | None, default: Any = None) -> Any:
        if place is None:
            return default
        if place not in self._made:
            piece = self._pieces[place]
            try:
                self._made[place] = self.exception(place) if isinstance(piece, dict) else packing.loads(piece)
            except BaseException:  # the user's __setstate__ may raise anything
                self._made[place] = default
        return self._made[place]


def _blank(kind: type[BaseException], like: BaseException) -> BaseException:
    if isinstance(like, BaseExceptionGroup):
        return _new(kind, *(getattr(BaseExceptionGroup, name).__get__(like) for name in ("message", "exceptions")))
    return _new(kind)


def _new(kind: type[BaseException], *group: Any) -> BaseException:
    """Make an empty exception with the constructor of its builtin base, bypassing its own."""
    builtin: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    error: BaseException = builtin.__new__(kind, *group)
    return error


def _is_constructible(error: BaseException) -> bool:
    """Whether a builtin constructor suffices: classes of compiled code may need their own."""
    try:
        _blank(type(error), error)
    except BaseException:
        return False
    return True


def _members(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield what an exception stores outside its `__dict__`: an OSError's errno and filename, and `__slots__`."""
    for name, member in _member_descriptors(type(error)).items():
        with contextlib.suppress(Exception):  # not set
            value = member.__get__(error)
            if value is not None:
                yield name, value


def _set_member(error: BaseException, name: str, value: Any) -> None:
    with contextlib.suppress(Exception):  # read-only
        _member_descriptors(type(error))[name].__set__(error, value)


def _member_descriptors(kind: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in kind.__mro__[: kind.__mro__.index(BaseException)]:
        if base is not BaseExceptionGroup:
            for name, value in vars(base).items():
                if isinstance(value, GetSetDescriptorType | MemberDescriptorType) and not name.startswith("__"):
                    found.setdefault(name, value)
    return found


def _attributes(error: BaseException) -> dict[str, Any]:
    return object.__getattribute__(error, "__dict__")  # type: ignore[no-any-return]


def _text(value: Any) -> str:
    try:
        text = repr(value)
    except BaseException:
        return f"<{type(value).__name__}>"
    return text if len(text) <= _REPR_LENGTH else f"{text[:_REPR_LENGTH]}…"
