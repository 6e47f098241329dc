"""How Lithops hands data to a function: a tuple as arguments, a dictionary as keywords, anything else as one value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lithops_magic.errors import MisuseError

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_SINGLE = (str, bytes, bytearray, Mapping)
"""Can be iterated over, and are one element nevertheless."""
_ELSEWHERE = {
    "ibm_cos": "a client of IBM's object storage: AWS has S3, which boto3 reaches within a task",
    "rabbitmq": "a connection to RabbitMQ: open it within the task",
    "obj": "an object of the storage, in parts: give the function the object's key, and read it there with boto3",
    "storage": "Lithops' storage: boto3 reaches S3 within a task",
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

    Raises
    ------
    MisuseError
        It has a parameter that Lithops would fill in and we cannot.
    """

    def __init__(self, function: Callable[..., Any], extra: Any = None) -> None:
        self._name = getattr(function, "__name__", type(function).__name__)
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):  # of something built in
            self._signature = None
        self._extra = extra or ()

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
            given = self._signature.bind_partial(*args, **kwargs).arguments
            if "id" in self._signature.parameters and "id" not in given:
                kwargs = {**kwargs, "id": number}
            self._refuse({**given, **kwargs})
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
    from lithops_magic.engine.text.short_repr import glance

    return ", ".join([*map(glance, args), *(f"{name}={glance(value)}" for name, value in kwargs.items())]) or "nothing"
