"""A call to be sent: a snapshot of a function and its arguments."""

from __future__ import annotations

import functools
import os
import pickle
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from lithops_magic import packages
from lithops_magic.engine.text.short_repr import short_repr
from lithops_magic.engine.wire.function import pickled
from lithops_magic.engine.wire.item import Prepared
from lithops_magic.engine.wire.pickling_advice import advice_to_send
from lithops_magic.engine.wire.pin import Pin, is_stateless
from lithops_magic.errors import SerializationError
from lithops_magic.packages import Reach, Request
from lithops_magic.worker import packing
from lithops_magic.worker.culprit import find

Begin = tuple[Callable[..., object], tuple[Any, ...]]
"""Function and arguments that a sandbox calls before anything else."""

INLINE = 16_384
"""Maximum bytes of a function that is sent with each of its calls."""
_pickling = threading.Lock()
"""Process-wide lock: which modules are pickled by value is global state."""
if hasattr(os, "register_at_fork"):
    # A child forked while another thread held the lock would wait for it forever.
    os.register_at_fork(after_in_child=_pickling._at_fork_reinit)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Call(Prepared):
    """A call that is ready to be sent."""

    name: str = ""
    """The function's name."""
    kind: str = ""
    """Calls of the same kind are expected to take about equally long."""
    future: Future[Any] = field(default_factory=Future)
    """Receives the outcome."""

    def __repr__(self) -> str:
        try:
            _, args, kwargs, _ = self.load(None)
            given = [*map(short_repr, args), *(f"{name}={short_repr(value)}" for name, value in kwargs.items())]
        except BaseException:  # an argument's own methods may raise anything
            given = ["…"]
        return f"{self.name}({', '.join(given)})"


@dataclass(frozen=True, slots=True)
class Callee:
    """A function as it was when pickled."""

    pickle: bytes = field(repr=False)
    """Includes the initializer, so that both share the notebook objects they use."""
    reach: Reach
    name: str
    kind: str
    large: bool
    """Whether it is too large to be sent with each call."""
    notes: tuple[str, ...] = ()
    """Notes for the user, one sentence each."""

    def call(self, future: Future[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """Return a call of the function.

        Raises
        ------
        SerializationError
            An argument cannot be pickled.
        """
        item = (None if self.large else self.pickle, args, kwargs, None)
        # Plain values need no packages and no pickler of ours: the common case, in a fraction of the time.
        if not kwargs and packing.PLAIN.issuperset(map(type, args)):
            container, reach = pickle.dumps(item, protocol=5), self.reach
        else:
            container, reach = _pickled(item, self.reach)
        return Call(container=container, reach=reach, name=self.name, kind=self.kind, future=future)


class Callees:
    """Pickles functions, again only if the result may differ: the values of their globals can change at any time.

    Parameters
    ----------
    request
        The requested packages.
    begin
        What a sandbox calls first.
    """

    def __init__(self, request: Request, begin: Begin | None) -> None:
        self._request = request
        self._initializer = None if begin is None else begin[0]
        self._callees: WeakKeyDictionary[Any, tuple[Pin | None, Callee]] = WeakKeyDictionary()

    def pickle(self, function: Callable[..., Any]) -> Callee:
        """Return a snapshot of `function`.

        Raises
        ------
        SerializationError
            It cannot be pickled.
        PackageError
            A requirement cannot be shipped.
        """
        # Any other callable holds state, which may differ at the next call.
        if not isinstance(function, FunctionType):
            return self._pickled(function)
        known = self._callees.get(function)
        if known is not None and (known[0] is None or known[0].holds(function)):
            return known[1]
        pin = Pin.of(function)
        callee = self._pickled(function)
        # A function pickled by name never changes: its module stays as it was when first used.
        if pin is not None or not callee.reach.codes:
            self._callees[function] = pin if callee.reach.codes else None, callee
        return callee

    def call(
        self, future: Future[Any], function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Call, Callee]:
        """Return a call of `function`, and its pickled function.

        A function is unpickled once per sandbox. Any other callable, such as a bound method, has state that must not
        leak from one call to the next: unless it is large, it is sent with its arguments, and shares objects with them.

        Raises
        ------
        SerializationError
            The function or an argument cannot be pickled.
        PackageError
            A requirement cannot be shipped.
        """
        callee = self.pickle(function)
        if isinstance(function, FunctionType) or callee.large or is_stateless(function):
            return callee.call(future, args, kwargs), callee
        container, reach = _pickled((None, args, kwargs, (function, self._initializer)), callee.reach)
        return Call(container=container, reach=reach, name=callee.name, kind=callee.kind, future=future), callee

    def _pickled(self, function: Callable[..., Any]) -> Callee:
        with _pickling:
            pickled_function = pickled(function, (), self._request, self._initializer)
            # Plain pickle, because only Python's own unpickler runs there.
            data = packages.dumps((function, self._initializer))[0] if pickled_function.views else pickled_function.data
        large = len(data) > INLINE
        return Callee(data, pickled_function.reach, _name(function), _kind(function), large, pickled_function.notes)


def _pickled(item: tuple[Any, tuple[Any, ...], Mapping[str, Any], Any], reach: Reach) -> tuple[bytes, Reach]:
    """Return a call as it is sent, and what it needs beyond what its function does."""
    buffers = packing.Buffers()
    try:
        data, more = packages.dumps(item, buffers.take)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an argument's own methods may raise anything
        given = {**{str(position): value for position, value in enumerate(item[1])}, **item[2]}
        part, reason = find(given, "arguments", error)
        raise SerializationError(f"The arguments cannot be pickled: {reason}; {advice_to_send(given, part)}") from error
    if more.modules or more.codes:
        reach = Reach(reach.modules | more.modules, [*reach.codes, *more.codes])
    return packing.pack(data, buffers.views), reach


def _name(function: object) -> str:
    return getattr(function, "__name__", None) or type(function).__qualname__


def _kind(function: object) -> str:
    """Return the same key for functions of the same code: its location, because comparing code itself takes long."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}:{name}" if isinstance(code, CodeType) else name
