from __future__ import annotations

import csv
import hashlib
import mmap
import re
import select
import sqlite3
import sys
import threading
import types
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import boto3
import cloudpickle
import numpy as np
import pytest

from lithops_magic.engine.wire.captures import HEAVY, captures, culprit, sizes, warnings
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.pickling_advice import advice_to_return
from lithops_magic.errors import SerializationError
from lithops_magic.worker import packing
from lithops_magic.worker.culprit import locate
from shells import terminal


def notebook(source: str, **names: object) -> dict[str, object]:
    """A namespace in which `source` was run as a cell is."""
    space = {"__name__": "__main__", **names}
    exec(source, space)
    return space


def found(function: object) -> set[str]:
    return {str(capture) for capture in captures(function)}


@pytest.mark.parametrize(
    ("source", "taken"),
    [
        ("def f(x): return x + a", {"'a'"}),
        ("def g(x): return x + a\ndef f(x): return g(x) + b", {"'a' (through g())", "'b'"}),
        ("def f(x): return [y + a for y in range(x)]", {"'a'"}),
        ("def f(x):\n    def inner(): return a\n    return inner()", {"'a'"}),
        ("class C:\n    def m(self): return a\ndef f(x): return C().m()", {"'a' (through m())"}),
        ("class C:\n    @classmethod\n    def m(cls): return a\ndef f(x): return C.m()", {"'a' (through m())"}),
        ("def f(x, y=a, *, z=b): return x", {"'default 1'", "'z'"}),
        ("def f(x): return f(x - 1) if x else a", {"'a'"}),
        ("import math\ndef f(x): return math.sin(x) + missing", set()),
        ("def outer(k):\n    return lambda x: x + k\nf = outer(a)", {"'k'"}),
        ("def outer():\n    def f(x): return later\n    return f\n    later = 1\nf = outer()", set()),
    ],
)
def test_what_a_function_takes_along(source: str, taken: Any) -> None:
    assert found(notebook(source, a=[1], b=[2], unused=[3])["f"]) == taken


def test_wrapped_and_bound_functions_are_looked_through() -> None:
    space = notebook("def f(x, y): return x + a", a=[1])
    kept = partial(space["f"], y=[7])  # type: ignore[misc]
    assert found(kept) == {"'a' (through f())", "'y'"}

    @wraps(space["f"])
    def outer(x: Any) -> Any:
        return x

    assert "'a' (through f())" in found(outer)
    held = notebook("class C:\n    def m(self, x): return a\nc = C()", a=[1])
    assert found(held["c"].m) >= {"'self'", "'a' (through m())"}  # type: ignore[attr-defined]


def test_a_capture_that_cannot_be_pickled_is_named_with_its_way_and_reason() -> None:
    function = notebook("def g(): return lock\ndef f(x): return ok, g()", lock=threading.Lock(), ok=1)["f"]
    with pytest.raises(SerializationError, match=r"uses 'lock' \(through g\(\)\), a lock: cannot pickle"):
        Function.pickle(function)
    assert culprit(notebook("def f(x): return ok", ok=1)["f"]) == ""


def test_heavy_captures_are_named_with_their_sizes() -> None:
    space = notebook("def f(x): return data, small", data=bytes(HEAVY + 1), small=b"x")
    assert [capture.name for capture, _ in sizes(space["f"])] == ["data", "small"]
    (warning,) = warnings(space["f"])
    assert warning.startswith("'data' is sent with the function: 10.0 MB. ")
    assert warnings(notebook("def f(x): return data", data=bytes(1000))["f"]) == []


def test_what_is_importable_stays_where_it_is() -> None:
    assert found(notebook("def f(x): return dumps(x)", dumps=cloudpickle.dumps)["f"]) == {"'dumps'"}


def test_what_a_cell_uses_is_said_without_the_function_around_it(tmp_path: Path) -> None:
    from lithops_magic.notebook.parse.cell import expression_form

    with terminal(tmp_path) as shell:
        shell.user_ns["lock"] = threading.Lock()
        cell = expression_form(shell, "%%lambda_map x in y", "with lock:\n    x", "x").function
        assert str(next(captures(cell))) == "'lock'"


def returned(value: Any) -> str:
    """What is said of a result that cannot be pickled."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each is another
        packing.dumps(value)
    return advice_to_return(type(value).__qualname__, locate(value, "result", caught.value))


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: (x for x in "a"), "return a list of its values"),
        (lambda: {"rows": [1, iter(csv.reader([]))]}, "return a list of its values"),
        (threading.Event, "do not return it"),
        (lambda: types.SimpleNamespace(guard=threading.RLock()), "do not return it"),
        (lambda: sqlite3.connect(":memory:").cursor(), "cursor.fetchall()"),
        (lambda: mmap.mmap(-1, 10), "return its content"),
        (lambda: re.match("a", "a"), "match.groups()"),
        (hashlib.sha256, "hexdigest()"),
        (lambda: sys._getframe(), "traceback.format_exc()"),
        (lambda: boto3.client("s3", region_name="us-east-1"), "the service's response as plain data"),
        (lambda: np.nditer(np.ones(2)), "return a list"),
        (lambda: select.poll(), "do not return it"),
    ],
)
def test_the_advice_fits_what_was_returned(make: Callable[[], Any], advice: str) -> None:
    assert advice in returned(make())


@pytest.mark.parametrize(
    ("module", "name", "advice"),
    [
        ("_duckdb", "DuckDBPyRelation", "NAME.df() or NAME.arrow()"),
        ("_duckdb", "DuckDBPyConnection", "connect inside the function"),
        ("h5py._hl.files", "File", "open the file inside the function"),
        ("tarfile", "TarFile", "open the file inside the function"),
    ],
)
def test_the_advice_fits_handles_of_libraries(module: str, name: str, advice: str) -> None:
    from lithops_magic.engine.wire.pickling_advice import advice_to_send

    thing = type(name, (), {"__module__": module})()
    assert advice in advice_to_send(thing, thing, "handle")
