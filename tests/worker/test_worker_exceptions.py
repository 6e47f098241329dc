"""Exceptions travel as what they are, whatever their classes define; the oracle is the exception that plain Python has.

Classes are generated: with constructors that cannot be called again, attributes that cannot be pickled or set, and
methods that raise, in every combination, on top of built-in exceptions that keep something of their own.
"""

from __future__ import annotations

import base64
import copy
import json
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops_magic.errors import RemoteError, TaskError
from lithops_magic.worker import exceptions
from lithops_magic.worker.report import report


class Unkind(Exception):
    """What a method raises that Python calls behind one's back."""


def raising(*_: Any, **__: Any) -> Any:
    raise Unkind


HOOKS = (
    "__str__",
    "__repr__",
    "__setattr__",
    "__reduce_ex__",
    "__reduce__",
    "__copy__",
    "__deepcopy__",
    "__getstate__",
    "__setstate__",
    "__eq__",
    "__hash__",
    "__bool__",
    "__len__",
    "add_note",
    "with_traceback",
)
BASES: dict[type[BaseException], Callable[[type], BaseException]] = {
    ValueError: lambda kind: ValueError.__new__(kind),
    OSError: lambda kind: _filled(OSError.__new__(kind), OSError, 2, "no such file", "f"),
    KeyError: lambda kind: KeyError.__new__(kind),
    UnicodeDecodeError: lambda kind: _filled(
        UnicodeDecodeError.__new__(kind), UnicodeDecodeError, "utf-8", b"\xff", 0, 1, "bad"
    ),
    ImportError: lambda kind: ImportError.__new__(kind),
    AttributeError: lambda kind: AttributeError.__new__(kind),
    ExceptionGroup: lambda kind: ExceptionGroup.__new__(kind, "two", [ValueError(1), KeyError(2)]),
}
STATE = ("errno", "filename", "encoding", "object", "start", "reason", "name", "path")


def _filled(error: BaseException, kind: Any, *args: Any) -> BaseException:
    kind.__init__(error, *args)
    return error


values = st.one_of(st.integers(), st.text(), st.binary(), st.none(), st.lists(st.integers()))
unpicklable = st.builds(threading.Lock)
names = st.sampled_from(("index", "item", "message", "log", "where", "traceback", "task", "result", "summary", "code"))


@st.composite
def odd(draw: st.DrawFn) -> BaseException:
    base = draw(st.sampled_from(list(BASES)))
    hooks = draw(st.sets(st.sampled_from(HOOKS)))
    body: dict[str, Any] = dict.fromkeys(hooks, raising)
    if draw(st.booleans()):
        body["args"] = property(lambda _: "theirs")
    if draw(st.booleans()):
        body["__init__"] = lambda self, *, required, more: None
    kind = type("Odd", (base,), body)
    error = BASES[base](kind)
    attributes = draw(st.dictionaries(names, st.one_of(values, unpicklable)))
    object.__getattribute__(error, "__dict__").update(attributes)
    if base in (ValueError, KeyError):
        BaseException.args.__set__(error, tuple(draw(st.lists(values))))  # type: ignore[attr-defined]
    if draw(st.booleans()):
        BaseException.__cause__.__set__(error, LookupError("why"))  # type: ignore[union-attr]
    if draw(st.booleans()):
        BaseException.add_note(error, "seen") if "__setattr__" not in hooks else None
    return error


def inside(error: BaseException) -> dict[str, Any]:
    return dict(object.__getattribute__(error, "__dict__"))


def kept_of(error: BaseException) -> dict[str, Any]:
    return {name: value for name, value in inside(error).items() if not isinstance(value, type(threading.Lock()))}


@given(odd())
def test_a_packed_exception_is_what_it_was(error: BaseException) -> None:
    again = exceptions.unpack(exceptions.pack(error))
    assert type(again) is type(error)
    assert inside(again) == kept_of(error)
    if not isinstance(error, BaseExceptionGroup):
        assert exceptions.arguments(again) == exceptions.arguments(error)
    for name in STATE:
        assert getattr(again, name, None) == getattr(error, name, None)
    assert type(again.__cause__) is type(error.__cause__)
    assert again.__suppress_context__ == error.__suppress_context__


@given(odd())
def test_an_error_of_a_task_has_what_the_exception_has_and_ours_is_apart(original: BaseException) -> None:
    error = RemoteError.wrap(original, "bad", index=3, item="'i'", log="printed")
    assert isinstance(error, type(original)) != isinstance(original, BaseExceptionGroup)
    for one in (error, copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert isinstance(one, TaskError)
        assert str(one) == "Task 3 ('i'): bad"
        assert (one.task.index if "task" not in inside(original) else 3) == 3
        assert bool(one)
        if isinstance(one, type(original)):
            for name, value in kept_of(original).items():
                assert getattr(one, name) == value


@given(odd())
def test_a_report_never_fails_and_says_the_type(error: BaseException) -> None:
    said = report(error)
    assert said["error"]["type"] == "Odd"
    assert type(exceptions.unpack(base64.b64decode(said["exception"]))) is type(error)


def test_what_cannot_travel_costs_only_itself() -> None:
    error = ValueError("text", threading.Lock(), KeyError(threading.Lock()))
    error.lock, error.code = threading.Lock(), 7  # type: ignore[attr-defined]
    again: Any = exceptions.unpack(exceptions.pack(error))
    assert again.code == 7
    assert not hasattr(again, "lock")
    assert again.args[0] == "text"
    assert "lock" in again.args[1]
    assert isinstance(again.args[2], KeyError)


def test_groups_keep_their_members_and_cycles_end() -> None:
    inner = ExceptionGroup("inner", [ValueError(1), TypeError(2)])
    outer = BaseExceptionGroup("outer", [inner, KeyboardInterrupt()])
    inner.exceptions[0].__context__ = outer
    again = exceptions.unpack(exceptions.pack(outer))
    assert isinstance(again, BaseExceptionGroup)
    assert [type(one) for one in again.exceptions] == [ExceptionGroup, KeyboardInterrupt]
    assert again.exceptions[0].exceptions[0].args == (1,)  # type: ignore[union-attr]


def test_a_class_that_only_its_constructor_can_make_travels_as_it_pickles_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exceptions, "_is_constructible", lambda error: False)
    error: Any = exceptions.unpack(exceptions.pack(OSError(2, "no", "f")))
    assert (error.errno, error.filename) == (2, "f")


def test_a_huge_message_is_kept_and_shown_short() -> None:
    error = RemoteError.wrap(ValueError("x" * 300_000), "ValueError: " + "x" * 300_000, index=0)
    assert len(str(error)) < 2_000
    assert "300,012 characters" in str(error)
    again = exceptions.unpack(exceptions.pack(ValueError("x" * 300_000)))
    assert len(again.args[0]) == 300_000


def test_the_largest_report_fits_in_a_reply() -> None:
    parts: list[Exception] = [ValueError("x" * 100_000) for _ in range(300)]
    for part in parts:
        for _ in range(30):
            part.add_note("n" * 10_000)
    said = report(ExceptionGroup("g" * 300_000, parts))
    assert len(json.dumps(said)) < 3_000_000
    assert len(said["error"]["parts"]) < len(parts)
