"""Lithops' calling convention: a tuple is arguments, a dictionary is keywords, anything else is one value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lithops_magic.errors import MisuseError
from lithops_magic.lithops import inside

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_SINGLE = (str, bytes, bytearray, Mapping)
"""Iterable types that count as one element nevertheless."""
_ELSEWHERE = {
    "ibm_cos": "a client of IBM's object storage: AWS has S3, which boto3 reaches within a task",
    "rabbitmq": "a connection to RabbitMQ: open it within the task",
}
"""Parameters that Lithops fills in but we cannot, and alternatives."""


def elements(data: Any) -> list[Any]:
    """Return the elements to map over; like Lithops, treat some iterables as a single element."""
    return [data] if isinstance(data, _SINGLE) or not isinstance(data, Iterable) else list(data)


class Binding:
    """Binds elements to the parameters of one function.

    Parameters
    ----------
    function
        The function.
    extra
        Further arguments of each element: a tuple is appended to its arguments, a dictionary merged into its keywords.
    storage
        Creates the value of a parameter `storage`.

    Raises
    ------
    MisuseError
        It has a parameter that Lithops would fill in but we cannot.
    """

    def __init__(
        self, function: Callable[..., Any], extra: Any = None, storage: Callable[[], Any] = lambda: None
    ) -> None:
        self._name = getattr(function, "__name__", type(function).__name__)
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):  # a builtin without a signature
            self._signature = None
        # A set has no order, and a string would be taken for one argument per character.
        if extra is not None and not isinstance(extra, tuple | list | Mapping):
            raise MisuseError(
                "extra_args must be a tuple of arguments or a dictionary of keywords (extra_args_reduce as well), not "
                f"{type(extra).__name__}"
            )
        self._extra = extra or ()
        self._storage = storage

    @property
    def takes_objects(self) -> bool:
        """Whether the function is mapped over objects, which it receives as `obj`."""
        found = self._signature.parameters.get("obj") if self._signature is not None else None
        # Positional-only parameters, like that of `len`, do not count by name.
        return found is not None and found.kind is not found.POSITIONAL_ONLY

    def bind(self, element: Any, number: int, part: Any = None) -> Arguments:
        """Return the arguments of the call for the `number`-th element of a job, or for a `part` of an object.

        Raises
        ------
        MisuseError
            They do not match the function's signature.
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
            # MisuseError is a TypeError as well, and says more.
            if isinstance(error, MisuseError):
                raise
            shown = _shown(args, kwargs)
            raise MisuseError(
                f"{self._name}{self._signature} cannot be called with element {number}, {shown}: {error}. A tuple is "
                "used as its arguments, a dictionary as its keywords, anything else as its first argument."
            ) from None
        return args, kwargs

    def _with_filled(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], filled: Mapping[str, Any]
    ) -> inspect.BoundArguments | None:
        """Bind to the parameters that are not filled in; None if the arguments match only all parameters."""
        assert self._signature is not None
        parameters = self._signature.parameters
        wanted = [name for name in filled if name in parameters and name not in kwargs and filled[name] is not None]
        if not wanted:
            return None
        # First without the parameters that are filled in, so that a positional argument cannot land in one of them.
        others = [each for name, each in parameters.items() if name not in wanted]
        try:
            given = self._signature.replace(parameters=others).bind(*args, **kwargs).arguments
        except (TypeError, ValueError):  # ValueError: the rest is not a valid signature
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
        short_repr: Callable[[Any], str] = repr
    else:
        from lithops_magic.engine.text.short_repr import short_repr

    return (
        ", ".join([*map(short_repr, args), *(f"{name}={short_repr(value)}" for name, value in kwargs.items())])
        or "nothing"
    )
