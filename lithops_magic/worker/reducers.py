"""Reducers for objects of a notebook that neither pickle nor cloudpickle ships by value.

Pickles refer only to the standard library, since the two ends know this module by different names.
"""

from __future__ import annotations

import contextvars
import functools
import sys
import threading
import typing
from collections.abc import Callable
from functools import partial
from types import FunctionType, MemberDescriptorType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from . import values

_MAKE_CLASS = cloudpickle.cloudpickle._make_skeleton_class
_cached: Any = functools._lru_cache_wrapper
_STATE = 3
"""Parts of an array's state before pandas 3; the third, its attributes, is always empty."""
_DISPATCHER = functools.singledispatch(lambda _: None).__code__  # type: ignore[attr-defined]


def is_importable(value: Any) -> bool:
    """Whether the other end finds the same object by its module and name."""
    module = getattr(value, "__module__", None)
    by_value = cloudpickle.list_registry_pickle_by_value()
    if module in (None, "__main__", "__mp_main__") or any(f"{module}.".startswith(f"{name}.") for name in by_value):
        return False
    found: Any = sys.modules.get(module)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
    for part in str(name).split("."):
        found = getattr(found, part, None)
    return found is value


def _by_value(reduce: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], Any]:
    """Apply `reduce` only to what the other end cannot import."""
    return lambda value: value.__reduce__() if is_importable(value) else reduce(value)


def _cache(value: Any) -> tuple[Any, ...]:
    parameters = value.cache_parameters()
    # Cached values are not shipped: each job starts with an empty cache.
    make = (value.__wrapped__, parameters["maxsize"], parameters["typed"], functools._CacheInfo)
    return _cached, make, dict(vars(value))


def _new_type(value: Any) -> tuple[Any, ...]:
    names = {"__module__": value.__module__, "__qualname__": value.__qualname__}
    return typing.NewType, (value.__name__, value.__supertype__), names


def _param_spec(value: Any) -> tuple[Any, ...]:
    variance = {"covariant": value.__covariant__, "contravariant": value.__contravariant__}
    return partial(typing.ParamSpec, value.__name__, bound=value.__bound__, **variance), ()


def _type_var_tuple(value: Any) -> tuple[Any, ...]:
    return typing.TypeVarTuple, (value.__name__,)


def _cached_property(value: Any) -> tuple[Any, ...]:
    state = {name: part for name, part in vars(value).items() if name not in ("func", "lock")}
    return type(value), (value.func,), state


def _context_variable(value: contextvars.ContextVar[Any]) -> tuple[Any, ...]:
    try:
        return partial(contextvars.ContextVar, value.name, default=value.get()), ()
    except LookupError:  # neither a value here nor a default
        return contextvars.ContextVar, (value.name,)


def _thread_local(value: Any) -> tuple[Any, ...]:
    return threading.local, (), dict(vars(value))


TABLE: dict[type, Callable[[Any], Any]] = {
    _cached: _by_value(_cache),
    typing.NewType: _by_value(_new_type),
    typing.ParamSpec: _by_value(_param_spec),
    typing.TypeVarTuple: _by_value(_type_var_tuple),
    functools.cached_property: _cached_property,
    contextvars.ContextVar: _context_variable,
    threading.local: _thread_local,
}
"""Reducers by type."""


def _register(dispatcher: Any, state: tuple[Any, Any]) -> None:
    for kind, function in state[0]:
        dispatcher.register(kind, function)
    dispatcher.__dict__.update(state[1])


# Shipped by value, like all code of the notebook.
_register.__module__ = "__main__"


def dispatcher(value: FunctionType) -> tuple[Any, ...] | None:
    """Reduce a `functools.singledispatch` function of the notebook; None if it is not one."""
    if value.__code__ is not _DISPATCHER or is_importable(value):
        return None
    made = {"register", "dispatch", "registry", "_clear_cache", "__wrapped__"}
    own = {name: part for name, part in vars(value).items() if name not in made}
    registry: Any = vars(value)["registry"]
    state = ([*registry.items()], own)
    return functools.singledispatch, (vars(value)["__wrapped__"],), state, None, None, _register


def of_pandas(value: Any, reduced: Any) -> Any:
    """Reduce arrays and indexes of pandas 3 to a form that pandas 2 can also read."""
    if type(value).__name__ in ("DatetimeIndex", "TimedeltaIndex"):
        return values.times, (type(value), value._data, value.freq, value.name)
    data = getattr(value, "_ndarray", None)
    if data is None:
        return reduced
    if type(value.dtype).__name__ == "StringDtype":
        missing = value.dtype.na_value
        return values.strings, (data, missing if isinstance(missing, float) else None)
    make, arguments, state, *rest = reduced
    if isinstance(state, tuple) and len(state) == _STATE - 1:
        state = *state, {}
    return make, arguments, state, *rest


def with_slots(kind: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Rebuild a class shipped by value with its slots; cloudpickle only sets the attribute."""
    make, arguments, (members, slots), *rest = reduced
    if make is not _MAKE_CLASS or issubclass(kind, tuple):
        return reduced
    options = {**arguments[3], "__slots__": vars(kind)["__slots__"]}
    own = {
        name: member
        for name, member in members.items()
        if name != "__slots__" and not (isinstance(member, MemberDescriptorType) and member.__objclass__ is kind)
    }
    return make, (*arguments[:3], options, *arguments[4:]), (own, slots), *rest
