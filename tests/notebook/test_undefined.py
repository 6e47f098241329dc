"""A name that is nowhere defined is told before anything is deployed; plain Python says when that is right."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops_magic.notebook.parse.undefined import undefined

HERE = {"known": 3, "items": [1, 2]}


def found(cell: str, target: str | None = "x") -> str | None:
    name = undefined(ast.parse(cell).body, target, HERE)
    return None if name is None else name.id


@pytest.mark.parametrize(
    "cell",
    [
        "model",
        "y = known + model",
        "y = model.fit(x)",
        "model += 1",
        "for n in model: pass",
        "if model: pass",
        "with model: pass",
        "[n for n in model]",
        "model if model else x",
        "y: int = model",
        "import os.path as p\np, os, model",
        "model; model = 1",
    ],
)
def test_what_must_fail(cell: str) -> None:
    assert found(cell) in ("model", "os")
    with pytest.raises(NameError):
        exec(cell, {**HERE, "x": 1})


@pytest.mark.parametrize(
    "cell",
    [
        "x + known + len(items)",
        "if x > 5: model",
        "try:\n    model\nexcept NameError:\n    model = 1\nmodel",
        "def f(): return model\nx",
        "lambda: model",
        "x and model",
        "import numpy as np\nnp",
        "import os.path\nos",
        "from math import *\nsin(x)",
        "exec('model = 1')\nmodel",
        "globals()['model'] = 1\nmodel",
        "[model for model in items]",
        "(model := 4) + model",
        "with open(__file__) as model: pass\nmodel",
        "class model: pass\nmodel",
        "for model in items: pass\nmodel",
        "match x:\n    case model: pass\nmodel",
        "del known\nmodel",
    ],
)
def test_what_may_work(cell: str) -> None:
    assert found(cell) is None


def test_the_target_is_known_and_so_is_what_a_function_of_the_notebook_sets() -> None:
    assert found("a + b", "a, (b, *c)") is None
    assert found("x", None) == "x"

    def setting() -> None:
        global model
        model = 1  # type: ignore[name-defined]

    name = undefined(ast.parse("setting()\nmodel").body, None, {"setting": setting})
    assert name is None


PIECES = st.sampled_from(["a", "b", "x", "known", "1"])
LINES = st.one_of(
    st.tuples(st.sampled_from(["a", "b"]), PIECES, PIECES).map(lambda t: f"{t[0]} = {t[1]} + {t[2]}"),
    st.tuples(PIECES, PIECES).map(lambda t: f"{t[0]} + {t[1]}"),
    st.tuples(PIECES, PIECES).map(lambda t: f"if {t[0]}: b = {t[1]}"),
    PIECES.map(lambda name: f"[n + known for n in range({name})]"),
    PIECES.map(lambda name: f"def b(n={name}): return n"),
)


@given(st.lists(LINES, min_size=1, max_size=6))
def test_nothing_that_runs_is_refused(lines: list[str]) -> None:
    cell = "\n".join(lines)
    name = found(cell)
    if name is not None:
        # Another line may have failed before.
        with pytest.raises((NameError, TypeError)):
            exec(cell, {**HERE, "x": 1})
