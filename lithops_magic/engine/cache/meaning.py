"""The meaning of an object as a hash: everything that pickling would send, except the line numbers of code.

Equal meanings compute equal values. When in doubt, two objects differ: a miss costs money, a false hit corrupts the
result. So constants keep their type, dictionaries their order, and shared objects differ from equal copies.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
from collections.abc import Iterable, Mapping
from types import CodeType, ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from lithops_magic.worker import packing

_HASHED_AT_RANDOM = frozenset({str, bytes})
"""Types whose order in a set means nothing, because it differs between processes."""
_PLACES = frozenset({"__firstlineno__", "__static_attributes__"})
"""Class attributes that give a location, or follow from the code in arbitrary order (Python 3.13)."""
_TRACKED = "_DYNAMIC_CLASS_TRACKER_BY_CLASS"


class Undetermined(Exception):
    """An object has no reproducible meaning."""


class Meaning:
    """Walks through objects as pickling would, and hashes what it finds.

    Parameters
    ----------
    shared
        Classes, by id, that the other end already has from the function: an item's class may be the function's own or
        another one that looks the same.

    Raises
    ------
    Undetermined
        Raised by `add`: the object cannot be pickled, or is nested too deeply.
    """

    def __init__(self, shared: Mapping[int, int] | None = None) -> None:
        self._hash = hashlib.sha256()
        # Tracks which functions share their globals; nothing is actually pickled.
        self._pickler = packing.Pickler(io.BytesIO(), lambda _: True)
        self._shared = shared or {}
        self._seen: dict[int, int] = {}
        # Everything found must stay alive: another object could reuse its id.
        self._alive: list[Any] = []
        self.modules: set[str] = set()
        """Modules that are imported when it is unpickled."""
        self.named: set[str] = set()
        """Names that are looked up in them."""
        self.codes: list[CodeType] = []
        """Code that is pickled by value."""
        self.kinds: list[type] = []
        """Classes that are pickled by value, in the order in which they are found."""

    def add(self, value: Any) -> None:
        """Hash another object."""
        try:
            self._walk(value)
        except (KeyboardInterrupt, Undetermined):
            raise
        except RecursionError:
            raise Undetermined("it is nested too deeply") from None
        except BaseException as error:  # an object's own methods may raise anything
            raise Undetermined(" ".join(str(error).split())[:200] or type(error).__name__) from error

    def digest(self) -> bytes:
        """Return the hash of everything added."""
        return self._hash.digest()

    def _put(self, tag: bytes, data: bytes | memoryview = b"") -> None:
        # Length-prefixed, so that no two sequences of parts look alike.
        self._hash.update(tag + len(data).to_bytes(8, "little"))
        self._hash.update(data)

    def _walk(self, value: Any) -> None:
        kind = type(value)
        if kind in packing.PLAIN:
            return self._atom(value)
        if kind is CodeType:
            return self._code(value)
        # By its place, as in a pickle's memo: also what makes cycles end.
        if (number := self._seen.get(id(value))) is not None:
            return self._put(b"@", b"%d" % number)
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        if kind is list or kind is tuple:
            return self._all(b"[" if kind is list else b"(", value)
        if kind is dict:
            return self._all(b"{", (part for pair in value.items() for part in pair))
        if kind is set or kind is frozenset:
            return self._all(b"<" if kind is set else b"f", _ordered(value))
        if kind is bytearray:
            return self._put(b"y", bytes(value))
        if kind is pickle.PickleBuffer:
            raw = value.raw()
            return self._put(b"r" if raw.readonly else b"w", raw)
        return self._object(value)

    def _all(self, tag: bytes, parts: Iterable[Any]) -> None:
        self._put(tag)
        for part in list(parts):
            self._walk(part)
        self._put(b".")

    def _atom(self, value: Any) -> None:
        match value:
            case None | bool():
                self._put(b"c", repr(value).encode())
            case int():
                self._put(b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
            case float():
                # By bits, so that 0.0 differs from -0.0, and nan equals itself.
                self._put(b"d", struct.pack("<d", value))
            case complex():
                self._put(b"j", struct.pack("<dd", value.real, value.imag))
            case str():
                self._put(b"s", value.encode("utf-8", "surrogatepass"))
            case _:
                self._put(b"b", value)

    def _code(self, code: CodeType) -> None:
        """Hash what code does, independent of file and line numbers."""
        self.codes.append(code)
        facts = (
            *(code.co_code, code.co_exceptiontable, code.co_names, code.co_varnames, code.co_freevars),
            *(code.co_cellvars, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
            *(code.co_stacksize, code.co_name, code.co_qualname),
        )
        self._put(b"o", repr(facts).encode("utf-8", "surrogatepass"))
        for constant in code.co_consts:
            self._constant(constant)
        self._put(b".")

    def _constant(self, value: Any) -> None:
        """Hash a constant; whether equal constants are one object is up to the compiler."""
        if type(value) is tuple or type(value) is frozenset:
            self._put(b"(" if type(value) is tuple else b"f")
            for part in value if type(value) is tuple else _ordered(value):
                self._constant(part)
            self._put(b".")
        else:
            self._walk(value)

    def _object(self, value: Any) -> None:
        if isinstance(value, type) and id(value) in self._shared:
            return self._put(b"k", b"%d" % self._shared[id(value)])
        reduced = self._pickler.reducer_override(value)
        if reduced is NotImplemented:
            reduced = getattr(value, "__qualname__", None) or value.__name__
        if isinstance(reduced, str):
            module = packing.whichmodule(value, reduced)
            self.modules.add(module)
            self.named.add(reduced.rpartition(".")[2])
            return self._put(b"g", f"{module}:{reduced}".encode())
        if isinstance(value, ModuleType):
            self.modules.add(value.__name__)
        elif isinstance(value, type) and len(reduced) > 2:
            # Except Python's own types without a name, such as the type of None.
            self.kinds.append(value)
            reduced = _anywhere(value, reduced)
        return self._reduced(*reduced)

    def _reduced(
        self,
        make: Any,
        arguments: Any,
        state: Any = None,
        items: Iterable[Any] | None = None,
        pairs: Iterable[Any] | None = None,
        setter: Any = None,
    ) -> None:
        self._put(b"R")
        self._walk(make)
        self._all(b"(", arguments)
        self._walk(state)
        self._all(b"[", items or ())
        self._all(b"{", (part for pair in pairs or () for part in pair))
        self._walk(setter)
        self._put(b".")


def _ordered(values: Iterable[Any]) -> list[Any]:
    """Return a set's elements in the order that a program sees, or sorted if that order differs between processes."""
    found = list(values)
    if all(type(value) in _HASHED_AT_RANDOM for value in found):
        return sorted(found, key=lambda value: (type(value).__name__, value))
    return found


def _anywhere(kind: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Drop process-specific details: the number that cloudpickle gives a class, and its line number."""
    make, arguments, state, *rest = reduced
    number = vars(cloudpickle.cloudpickle)[_TRACKED].get(kind)
    arguments = tuple(None if number is not None and part is number else part for part in arguments)
    members, slots = state
    own = {name: member for name, member in members.items() if name not in _PLACES}
    return make, arguments, (own, slots), *rest
