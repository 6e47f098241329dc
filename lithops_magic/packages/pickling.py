"""Pickles an object and records what is needed to unpickle it."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from lithops_magic.packages.texts import looked_up
from lithops_magic.worker import packing
from lithops_magic.worker.packing import Pickler

_STATE = 2
"""Index of a function's state in the arguments that cloudpickle rebuilds it from."""
_GENERATORS = {"numpy.Generator", "numpy.RandomState"}


@dataclass(slots=True)
class Reach:
    """What a pickle refers to."""

    modules: set[str] = field(default_factory=set)
    """Names of modules that unpickling imports."""
    codes: list[CodeType] = field(default_factory=list)
    """Code that the pickle contains."""
    generators: list[object] = field(default_factory=list)
    """Random generators that the pickle contains, with their state."""


def dumps(value: object, buffer_callback: Callable[[Any], Any] | None = None) -> tuple[bytes, Reach]:
    """Pickle `value` as `cloudpickle.dumps` does."""
    with io.BytesIO() as file:
        pickler = _Recorder(file, buffer_callback)
        pickler.dump(value)
        return file.getvalue(), pickler.reach


def dump_each(
    values: Iterable[object], buffer_callback: Callable[[Any], Any] | None = None
) -> tuple[list[list[bytes]], Reach]:
    """Pickle `values` one after another, as objects that share what they have in common.

    Each pickle is returned in the pieces written: bytes and strings of 64 kB or more are separate pieces, and bytes are
    not copied.
    """
    file = _Pieces()
    pickler = _Recorder(file, buffer_callback)
    pickles = []
    for value in values:
        file.written = []
        pickler.dump(value)
        pickles.append(file.written)
    return pickles, pickler.reach


class _Pieces:
    """A file that keeps the pieces written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


class _Recorder(Pickler):
    """A pickler that records every object it is asked to reduce, which is everything but plain values."""

    def __init__(self, file: io.BytesIO | _Pieces, buffer_callback: Callable[[Any], Any] | None) -> None:
        super().__init__(file, buffer_callback)
        self.reach = Reach()
        self._by_value = cloudpickle.list_registry_pickle_by_value()
        self._kinds: set[type] = set()

    def reducer_override(self, value: Any) -> Any:
        """Record what `value` refers to, and reduce it as usual."""
        self._note(value)
        reduced = super().reducer_override(value)
        if type(value) is FunctionType and isinstance(reduced, tuple):
            _add_looked_up(value, reduced)
        # In pickle's protocol, a string is the name of a global.
        if isinstance(reduced, str):
            self._add(packing.whichmodule(value, reduced))
        return reduced

    def _note(self, value: Any) -> None:
        kind = type(value)
        # A type is looked at once; a job may have a million objects of it.
        if kind not in self._kinds:
            self._kinds.add(kind)
            self._refer(kind)
        if is_generator(value):
            self.reach.generators.append(value)
        if kind is CodeType:
            self.reach.codes.append(value)
        elif kind is ModuleType:
            if value.__name__ in sys.modules:
                self._add(value.__name__)
        elif kind is FunctionType or kind is BuiltinFunctionType or isinstance(value, type):
            self._refer(value)

    def _refer(self, value: Any) -> None:
        """Record the module of a function or class, unless the pickle contains its definition."""
        module = getattr(value, "__module__", None)
        if isinstance(module, str) and _found_in(sys.modules.get(module), value):
            self._add(module)

    def _add(self, module: str) -> None:
        # A module that travels by value is not imported there.
        if self._by_value and any(f"{module}.".startswith(f"{name}.") for name in self._by_value):
            return
        self.reach.modules.add(module)


def _add_looked_up(function: FunctionType, reduced: tuple[Any, ...]) -> None:
    """Make a function that is pickled by value capture the names it looks up in strings."""
    slots = reduced[_STATE][1] if len(reduced) > _STATE and isinstance(reduced[_STATE], tuple) else None
    if isinstance(slots, dict) and "__globals__" in slots:
        slots["__globals__"] = {**looked_up(function), **slots["__globals__"]}


def is_generator(value: object) -> bool:
    """Whether it draws random numbers from a state of its own."""
    if isinstance(value, random.Random):
        return not isinstance(value, random.SystemRandom) and value is not packing.shared_generator("random")
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}
    return bool(names & _GENERATORS) and value is not packing.shared_generator("numpy")


def _found_in(module: ModuleType | None, value: Any) -> bool:
    found: Any = module
    for part in getattr(value, "__qualname__", "").split("."):
        found = getattr(found, part, None)
    return module is not None and found is value
