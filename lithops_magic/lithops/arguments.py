"""How Lithops hands data to a function: a tuple as arguments, a dictionary as keywords, anything else as one value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lithops_magic.errors import MisuseError
from lithops_magic.lithops import inside

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_SINGLE = (str, bytes, bytearray, Mapping)
"""Can be iterated over, and are one element nevertheless."""
_FILLED = ("id", "storage")
"""Parameters that are given the number of the call, and a `Storage`."""
_ELSEWHERE = {
    "ibm_cos": "a client of IBM's object storage: AWS has S3, which boto3 reaches within a task",
    "rabbitmq": "a connection to RabbitMQ: open it within the task",
    "obj": "an object of the storage, in parts: give the function the object's key, and read it there with boto3",
}
"""Parameters that Lithops fills in and we do not, and what to do."""


def elements(data: Any) -> list[Any]:
    """Return what is mapped over: an iterable's elements. Lithops takes a tuple, an array or a generator for one."""
    return [data] if isinstance(data, _SINGLE) or not isinstance(data, Iterable) else list(data)


class Binding:
    """Binds elements to the parameters of one function.

    Parameters
    ----------
    function
        The function.
    extra
        What each element gets beside: a tuple after a tuple or a single value, a dictionary beside a dictionary.
    storage
        Makes what a parameter `storage` is given.

    Raises
    ------
    MisuseError
        It has a parameter that Lithops would fill in and we cannot.
    """

    def __init__(
        self, function: Callable[..., Any], extra: Any = None, storage: Callable[[], Any] = lambda: None
    ) -> None:
        self._name = getattr(function, "__name__", type(function).__name__)
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):  # of something built in
            self._signature = None
        self._extra = extra or ()
        parameters = self._signature.parameters if self._signature is not None else {}
        self._filled = [name for name in _FILLED if name in parameters]
        self._storage = storage

    def bind(self, element: Any, number: int) -> Arguments:
        """Return the arguments of the call for an element, the `number`-th of its job.

        Raises
        ------
        MisuseError
            They do not fit the function.
        """
        args, kwargs = self._spread(element)
        if self._signature is None:
            return args, kwargs
        try:
            if self._filled and (bound := self._with_filled(args, kwargs, number)) is not None:
                args, kwargs = bound.args, bound.kwargs
            self._refuse(self._signature.bind_partial(*args, **kwargs).arguments)
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            if isinstance(error, MisuseError):
                raise
            shown = _shown(args, kwargs)
            raise MisuseError(
                f"{self._name}{self._signature} cannot be called with element {number}, {shown}: {error}. A tuple is "
                "taken for its arguments, a dictionary for its keywords, anything else for its first argument."
            ) from None
        return args, kwargs

    def _with_filled(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], number: int
    ) -> inspect.BoundArguments | None:
        """Bind to the parameters that are not filled in, wherever they stand; None if only all of them fit."""
        assert self._signature is not None
        wanted = [name for name in self._filled if name not in kwargs]
        others = [each for name, each in self._signature.parameters.items() if name not in wanted]
        try:
            given = self._signature.replace(parameters=others).bind(*args, **kwargs).arguments
        except (TypeError, ValueError):  # ValueError: what is left without them is no signature
            return None
        values = {**given, **{name: self._value(name, number) for name in wanted}}
        ordered = {name: values[name] for name in self._signature.parameters if name in values}
        return inspect.BoundArguments(self._signature, ordered)

    def _value(self, name: str, number: int) -> Any:
        return number if name == "id" else self._storage()

    def _refuse(self, given: Mapping[str, Any]) -> None:
        assert self._signature is not None
        for name, what in _ELSEWHERE.items():
            parameter = self._signature.parameters.get(name)
            if parameter is not None and name not in given and parameter.default is parameter.empty:
                raise MisuseError(f"{self._name}: the parameter {name!r} would be {what}")

    def _spread(self, element: Any) -> Arguments:
        extra = self._extra
        if isinstance(element, dict):
            if extra and not isinstance(extra, Mapping):
                raise MisuseError("extra_args must be a dictionary where the elements are dictionaries")
            return (), {**element, **dict(extra)}
        if isinstance(extra, Mapping):
            return (element if isinstance(element, tuple) else (element,)), dict(extra)
        return (*(element if isinstance(element, tuple) else (element,)), *extra), {}


def _shown(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    if inside.is_task():
        glance: Callable[[Any], str] = repr
    else:
        from lithops_magic.engine.text.short_repr import glance

    return ", ".join([*map(glance, args), *(f"{name}={glance(value)}" for name, value in kwargs.items())]) or "nothing"
