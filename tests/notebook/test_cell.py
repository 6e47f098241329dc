from __future__ import annotations

import ast
import asyncio
import linecache
import threading
import traceback
import types
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from IPython.terminal.interactiveshell import TerminalInteractiveShell

from lithops_magic.engine.wire.captures import captures
from lithops_magic.notebook.parse.cell import CellSyntaxError, code_name, expression_form, function_form
from lithops_magic.notebook.parse.usage_error import UsageError
from lithops_magic.worker import packing
from lithops_magic.worker.cell import Namespace
from thorough import WITH_FIXTURES, share


def run(shell: TerminalInteractiveShell, target: Any, body: Any, item: Any) -> Any:
    """Call the cell's function as a worker does: after a trip through cloudpickle."""
    function = packing.loads(
        packing.dumps(expression_form(shell, f"%%lambda_map {target} in items", body, target).function)
    )
    value = function(item)
    return asyncio.run(value) if asyncio.iscoroutine(value) else value


@pytest.mark.parametrize(
    ("target", "body", "item", "value"),
    [
        ("x", "x ** 2 + k", 3, 12),
        ("x", "total = total + x\ntotal", 3, 13),
        ("x", "total += x\ntotal", 3, 13),
        ("x", "del k\nx", 3, 3),
        ("x", "if x:\n    k = 0\nk", 0, 3),
        ("x", "for i in range(x):\n    k = k * 2\nk", 2, 12),
        ("x", "def k2():\n    return total\ntotal = 1\nk2()", 2, 1),
        ("x", "[k for k in range(x)]", 2, [0, 1]),
        ("x", "any((k := y) for y in [x])\nk", 5, 5),
        ("x", "try:\n    1 / 0\nexcept ZeroDivisionError as k:\n    pass\nx", 5, 5),
        ("x", "match x:\n    case {'a': k}:\n        pass\nk", {"a": 7}, 7),
        ("x", "match x:\n    case {'a': k}:\n        pass\nk", {}, 3),
        ("x", "import math as k\nk.sqrt(x)", 4, 2.0),
        ("x", "with open(__import__('os').devnull) as k:\n    pass\nk.closed", 4, True),
        ("x", "global g\ng = x\ng", 4, 4),
        ("a, (b, *c)", "a, b, c", (1, (2, 3, 4)), (1, 2, [3, 4])),
        ("d['k']", "d['k']", 8, 8),
        ("item", "item + k", 1, 4),
        ("x", "import asyncio\nawait asyncio.sleep(0)\nx", 6, 6),
        ("x", "helper(x)", 2, 20),
        ("x", "y = x", 2, None),
        ("x", "factor = x\nhelper(2)", 7, 14),
        ("x", "from math import *\nfloor(x) + k", 2.5, 5),
        ("x", "exec('fresh = x * 2')\nfresh", 4, 8),
        ("x", "from __future__ import annotations\ny: Undefined = x\ny", 4, 4),
        ("x", "y: factor = x\ny", 4, 4),
        ("x", "y: dict[str, total]\nx", 4, 4),
        ("x", "class A:\n    size: factor = x + k\nA.size", 4, 7),
        ("x", "def later():\n    return after\nafter = x\nlater()", 4, 4),
        ("x", "globals()['factor'] = x\nhelper(1)", 4, 4),
        ("x", "import asyncio\nfactor = x\nawait asyncio.sleep(0)\nhelper(3)", 6, 18),
    ],
)
def test_the_cell_behaves_like_a_cell_with_the_target_assigned(
    shell: TerminalInteractiveShell, target: str, body: str, item: Any, value: Any
) -> None:
    shell.run_cell("total, k, d = 10, 3, {}\nfactor = 10\ndef helper(v): return v * factor")
    assert run(shell, target, body, item) == value
    assert shell.user_ns["total"] == 10


def test_a_name_that_is_bound_first_is_not_captured(shell: TerminalInteractiveShell) -> None:
    shell.user_ns.update(data=object(), other=1)
    function = expression_form(shell, "%%lambda_map x in i", "data = [x]\nwith data as other: pass\ndata", "x").function
    assert [(capture.name, capture.value) for capture in captures(function)] == []


def test_only_the_names_used_travel(shell: TerminalInteractiveShell) -> None:
    shell.user_ns.update(used=1, unused=threading.Lock())
    assert run(shell, "x", "x + used", 1) == 2


def test_a_cell_without_a_value_says_so(shell: TerminalInteractiveShell) -> None:
    assert "add a line `y`" in expression_form(shell, "%%lambda_map x in i", "y = x", "x").note
    assert expression_form(shell, "%%lambda_map x in i", "y = x\ny", "x").note == ""


def test_tracebacks_show_the_line_of_the_cell(shell: TerminalInteractiveShell) -> None:
    function = expression_form(shell, "%%lambda_map x in i", "y = 0\n\nx / y", "x").function
    with pytest.raises(ZeroDivisionError) as caught:
        function(1)
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (code_name(shell, frame.filename), frame.lineno, frame.line) == ("Cell In[1]", 4, "x / y")
    assert linecache.getline(frame.filename, 1) == "#%%lambda_map x in i\n"


def test_a_target_that_does_not_fit_points_at_the_first_line(shell: TerminalInteractiveShell) -> None:
    function = expression_form(shell, "%%lambda_map x, y in i", "x", "x, y").function
    with pytest.raises(TypeError, match="unpack") as caught:
        function(1)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].lineno == 1


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        ("y = x\nreturn y", 3, "'return' outside function"),
        ("yield x", 2, "'yield' outside function"),
        ("y = = x", 2, "invalid syntax"),
        ("if x:\nx", 3, "expected an indented block"),
    ],
)
def test_wrong_python_is_shown_as_python_shows_it(
    shell: TerminalInteractiveShell, body: str, line: str, message: str
) -> None:
    with pytest.raises(CellSyntaxError, match=message) as caught:
        expression_form(shell, "%%lambda_map x in i", body, "x")
    shown = "\n".join(caught.value._render_traceback_())
    assert f"In[1], line {line}" in shown.replace("\x1b", "").replace("[39m", "").replace("[32m", "").replace(
        "[36m", ""
    )
    assert ".py" not in shown


@pytest.mark.parametrize("body", ["!ls", "files = !ls\nx", "%timeit x", "x?"])
def test_notebook_syntax_is_refused_in_one_line(shell: TerminalInteractiveShell, body: str) -> None:
    with pytest.raises(UsageError, match=r"line 2: .* is notebook syntax"):
        expression_form(shell, "%%lambda_map x in i", body, "x")


def test_a_cell_of_comments_is_refused(shell: TerminalInteractiveShell) -> None:
    with pytest.raises(UsageError, match="only comments"):
        expression_form(shell, "%%lambda_map x in i", "# nothing", "x")


@pytest.mark.parametrize(
    "body",
    [
        "base = 2\ndef power(n): return base ** n",
        "from functools import lru_cache\nbase = 2\n@lru_cache\ndef power(n): return base ** n",
    ],
)
def test_the_last_function_is_mapped_and_stays_in_the_notebook(shell: TerminalInteractiveShell, body: str) -> None:
    mapped = function_form(shell, "%%lambda_map i", body)
    assert mapped.function is shell.user_ns["power"]
    assert (mapped.function(3), mapped.label, shell.user_ns["base"]) == (8, "power", 2)


def test_an_async_function_is_mapped(shell: TerminalInteractiveShell) -> None:
    assert asyncio.iscoroutinefunction(function_form(shell, "%%lambda_map i", "async def get(n): return n").function)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x = 1", "must end with the function"),
        ("@(lambda f: 3)\ndef f(x): pass", "not a function after its decorators"),
    ],
)
def test_a_cell_that_does_not_end_in_a_function_is_refused(
    shell: TerminalInteractiveShell, body: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        function_form(shell, "%%lambda_map i", body)


SETUP = """
total, k, items, words = 10, 3, [1, 2], {"a": 1}
def helper(v): return v * k
def through(v): return helper(v) + total
def bump():
    global total
    total += 1
    return total
class Model:
    rate = 2
    def score(self, v): return v * self.rate + k
model = Model()
"""

PIECES = (
    "k = x",
    "k += x",
    "total = helper(x)",
    "k = through(k)",
    "y = k + total",
    "y = bump()",
    "del k",
    "total, k = k, total",
    "y = [helper(v) for v in range(3)]",
    "y = sum(k for _ in range(2))",
    "y = model.score(x)",
    "Model.rate = x",
    "model = Model(); model.rate = k",
    "for k in range(x):\n    y = helper(k)",
    "items = [*items, x]",
    "words['a'] = x",
    "def helper(v): return v + total",
    "def inner():\n    return k + x\nk = 7\ny = inner()",
    "y = (lambda: k)()",
    "exec('k = x + 1')",
    "y = eval('k')",
    "from math import *",
    "if x > 1:\n    total = 0",
    "global total",
    "import math as k",
    "try:\n    y = k / x\nexcept ZeroDivisionError as k:\n    y = 'zero'",
    "with open(__import__('os').devnull) as k:\n    pass",
    "class helper:\n    k = k\n    def __new__(cls, v): return v - cls.k",
    "y = (k := x)",
    "k: int = x",
    "y = [k := v for v in (1, x)]",
    "match x:\n    case 0: k = 5\n    case other: y = other",
    "assert x != 3",
    "helper = through",
)
LAST = ("k", "total", "y", "helper(2)", "through(1)", "bump()", "model.score(1)", "(k, total)", "items", "words['a']")


def in_a_notebook(cell: str, item: int) -> object:
    """Run the cell as a notebook that was started for it alone would."""
    names = {"__name__": "__main__", "x": item}
    exec(SETUP, names)
    *body, last = ast.parse(cell).body
    try:
        exec(compile(ast.Module(body, []), "<oracle>", "exec"), names)
        return eval(compile(ast.Expression(last.value), "<oracle>", "eval"), names)  # type: ignore[attr-defined]
    except Exception as error:
        return type(error), str(error)


@pytest.fixture(scope="module")
def notebook_names() -> Any:
    names = {"__name__": "__main__"}
    exec(SETUP, names)
    return names


@given(
    st.lists(st.sampled_from(PIECES), max_size=6),
    st.sampled_from(LAST),
    st.lists(st.integers(0, 4), min_size=2, max_size=4),
)
@settings(
    max_examples=share(120, 1000),
    deadline=None,
    suppress_health_check=WITH_FIXTURES,
)
def test_any_cell_gives_every_item_what_a_fresh_notebook_gives(
    shell: TerminalInteractiveShell, notebook_names: Any, pieces: Any, last: Any, items: str
) -> None:
    cell = "\n".join([*pieces, last])
    # Whatever changes an object that is captured is shared by the tasks of one sandbox, as documented.
    assume(not any(shared in cell for shared in ("words['a'] =", "Model.rate")) or len(items) == 1)
    try:
        ast.parse(cell)
        compile(cell, "<oracle>", "exec")
    except SyntaxError:
        assume(False)
    shell.user_ns.update(notebook_names)
    for name in ("helper", "through", "bump"):
        shell.user_ns[name] = types.FunctionType(notebook_names[name].__code__, shell.user_ns, name)
    exec("class Model:\n    rate = 2\n    def score(self, v): return v * self.rate + k\nmodel = Model()", shell.user_ns)
    try:
        made = expression_form(shell, "%%lambda_map x in i", cell, "x").function
    except UsageError:
        # A name that is nowhere defined: no item has a value in a notebook either.
        outcomes = [in_a_notebook(cell, item) for item in items]
        assert all(isinstance(outcome, tuple) and isinstance(outcome[0], type) for outcome in outcomes)
        return
    function = packing.loads(packing.dumps(made))
    found = []
    for item in items:
        with Namespace() as namespace:
            namespace.save(function)
            try:
                found.append(function(item))
            except Exception as error:
                found.append((type(error), str(error)))
    assert list(map(repr, found)) == [repr(in_a_notebook(cell, item)) for item in items]
    assert shell.user_ns["k"] == 3
