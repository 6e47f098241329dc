"""Whether the pickle of a function is still what it was: what it depends on, and whether that can change unnoticed."""

from __future__ import annotations

import functools
import operator
import sys
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

import cloudpickle  # type: ignore[import-untyped]

from lithops_magic.worker import packing


class Pin:
    """Everything that the pickle of a simple function depends on, where nothing can change in place."""

    __slots__ = ("_cells", "_code", "_defaults", "_names", "_values")

    def __init__(self, function: FunctionType) -> None:
        self._code, self._defaults = function.__code__, function.__defaults__
        self._names = _globals(self._code)
        self._cells = tuple(each.cell_contents for each in function.__closure__ or ())
        self._values = tuple(map(function.__globals__.get, self._names))

    @classmethod
    def of(cls, function: FunctionType) -> Pin | None:
        """Return the pin of a function; None if something it uses can change in place."""
        try:
            pin = cls(function)
        except ValueError:  # a variable of the enclosing function is unassigned
            return None
        # Both can change in place, which comparing identities would not notice.
        if function.__kwdefaults__ or function.__dict__:
            return None
        return pin if all(map(_is_constant, (*pin._cells, *pin._values, *(pin._defaults or ())))) else None

    def holds(self, function: FunctionType) -> bool:
        """Whether the function is still the same."""
        if function.__code__ is not self._code or function.__defaults__ is not self._defaults:
            return False
        if function.__kwdefaults__ or function.__dict__:
            return False
        if not all(map(operator.is_, self._values, map(function.__globals__.get, self._names))):
            return False
        return not self._cells or self._holds_cells(function)

    def _holds_cells(self, function: FunctionType) -> bool:
        try:
            now = [each.cell_contents for each in function.__closure__ or ()]
        except ValueError:
            return False
        return all(map(operator.is_, self._cells, now))


def _is_constant(value: object) -> bool:
    if isinstance(value, ModuleType):
        by_value = cloudpickle.list_registry_pickle_by_value()
        return sys.modules.get(value.__name__) is value and value.__name__ not in by_value
    return type(value) in packing.PLAIN or (type(value) is BuiltinFunctionType and is_stateless(value))


@functools.lru_cache(maxsize=1024)
def _globals(code: CodeType) -> tuple[str, ...]:
    # What cloudpickle takes along is what can change the pickle; there is no public way to ask it.
    return tuple(cloudpickle.cloudpickle._extract_code_globals(code))


def is_stateless(function: object) -> bool:
    """Whether a callable is the same at every call."""
    if isinstance(function, BuiltinFunctionType):
        return isinstance(function.__self__, ModuleType | None)
    return isinstance(function, FunctionType | type)
