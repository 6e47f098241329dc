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
_ELSEWHERE = {
    "ibm_cos": "a client of IBM's object storage: AWS has S3, which boto3 reaches within a task",
    "rabbitmq": "a connection to RabbitMQ: open it within the task",
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
        self._storage = storage

    @property
    def takes_objects(self) -> bool:
        """Whether it is mapped over objects, each of which it is given as `obj`."""
        found = self._signature.parameters.get("obj") if self._signature is not None else None
        # What can be given by its position alone, as `len` has it, has no name to be known by.
        return found is not None and found.kind is not found.POSITIONAL_ONLY

    def bind(self, element: Any, number: int, part: Any = None) -> Arguments:
        """Return the arguments of the call for an element, the `number`-th of its job, and for a `part` of an object.

        Raises
        ------
        MisuseError
            They do not fit the function.
        """
        args, kwargs = self._spread(element)
        if self._signature is None:
            return args, kwargs
        try:
            filled = {"id": number, "storage": self._storage, "obj": part}
            if (bound := self._with_filled(args, kwargs, filled)) is not None:
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
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], filled: Mapping[str, Any]
    ) -> inspect.BoundArguments | None:
        """Bind to the parameters that are not filled in, wherever they stand; None if only all of them fit."""
        assert self._signature is not None
        parameters = self._signature.parameters
        wanted = [name for name in filled if name in parameters and name not in kwargs and filled[name] is not None]
        if not wanted:
            return None
        others = [each for name, each in parameters.items() if name not in wanted]
        try:
            given = self._signature.replace(parameters=others).bind(*args, **kwargs).arguments
        except (TypeError, ValueError):  # ValueError: what is left without them is no signature
            return None
        values = {**given, **{name: filled[name] for name in wanted}}
        if "storage" in wanted:
            values["storage"] = self._storage()
        ordered = {name: values[name] for name in parameters if name in values}
        return inspect.BoundArguments(self._signature, ordered)

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
