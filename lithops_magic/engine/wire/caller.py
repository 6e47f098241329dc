"""The code that makes a call in the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

from lithops_magic.engine.wire.call import Begin, Callee
from lithops_magic.worker import cell

BROKEN = "The initializer failed in a sandbox"
"""Prefix of the error of every call in a sandbox where it failed."""


def caller(begin: Begin | None, callee: Callee | None = None) -> Callable[..., Any]:
    """Return the function that a job of calls runs on each call.

    Parameters
    ----------
    begin
        What a sandbox calls first.
    callee
        The function of all calls that do not bring their own.
    """
    # Without the module's globals, so that nothing of this module is pickled with it.
    made = FunctionType(_CODE, {"__name__": "__main__"}, "call")
    made.__kwdefaults__ = {"begin": begin, "function": callee and callee.pickle, "state": {}}
    made.__module__ = "__main__"
    return made


def _call(item: Any, *, begin: Any, function: Any, state: dict[str, Any]) -> Any:
    """Make a call in the sandbox. Pickled by value, so it must not use anything from this module."""
    __tracebackhide__ = True
    import pickle

    data, args, kwargs, pair = item
    if not state:
        given: dict[str, Any] = {}
        if begin is not None:
            names = getattr(begin[0], "__globals__", {})
            before = dict(names)
            try:
                begin[0](*begin[1])
            except Exception as error:
                from concurrent.futures import BrokenExecutor

                text = f"The initializer failed in a sandbox: {type(error).__name__}: {error}"
                raise BrokenExecutor(text) from error
            given = {name: value for name, value in names.items() if name not in before or before[name] is not value}
        # Only once it has succeeded: a sandbox in which the initializer failed tries again at its next call.
        state.update(given=given, known={})
    if pair is None:
        data = data or function
        known = state["known"]
        if data not in known:
            # A sandbox may live for hours, and an executor may be given ever new functions.
            if len(known) > 100:
                known.clear()
            known[data] = pickle.loads(data)
        pair = known[data]
    if pair[1] is not None:
        # What the initializer sets applies to all functions of the notebook.
        getattr(pair[1], "__globals__", {}).update(state["given"])
    return pair[0](*args, **kwargs)


def _as_ours(code: CodeType) -> CodeType:
    """Return code that tracebacks hide."""
    consts = (_as_ours(const) if isinstance(const, CodeType) else const for const in code.co_consts)
    return code.replace(co_filename=cell.FILE, co_consts=tuple(consts))


_CODE = _as_ours(_call.__code__)
