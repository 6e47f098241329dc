"""Names that are only looked up in texts travel with the function that has the text, as in a plain Python process."""

from __future__ import annotations

import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lithops_magic.engine.dispatch.failures import of_exception
from lithops_magic.errors import RemoteTraceback
from lithops_magic.packages.pickling import dumps
from lithops_magic.packages.texts import looked_up
from lithops_magic.worker import packing

NAMES: dict[str, Any] = {
    "limit": 2,
    "factor": 10,
    "frame": pd.DataFrame({"v": [1, 2, 3]}),
    "table": np.arange(3),
    "lock": threading.Lock(),
    "v": threading.Lock(),
    "pd": pd,
    "twice": lambda x: 2 * x,
    "QUERY": "v > @limit",
}


def made(source: str) -> types.FunctionType:
    """A function of the notebook's own."""
    names = {"__name__": "__main__", **NAMES}
    exec(source, names)
    function = names["f"]
    assert isinstance(function, types.FunctionType)
    return function


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("df.query('v > @limit and v < @ factor')", {"limit"}),
        ("df.query(expr='v > @limit')", {"limit"}),
        ("df.eval('w = v * @factor + @limit')", {"factor", "limit"}),
        ("pd.eval('limit + factor')", {"limit", "factor"}),
        ("numexpr.evaluate('limit * factor + x')", {"limit", "factor"}),
        ("eval('limit + 1')", {"limit"}),
        ("duckdb.sql('select v from frame where v > 1')", {"frame"}),
        ("con.execute('SELECT * FROM x JOIN table ON v').df()", {"table"}),
        ("con.execute('select v from lock')", set()),
        ("[df.query('v > @limit') for _ in range(2)]", {"limit"}),
        ("(lambda d: d.query('v > @factor'))(df)", {"factor"}),
        ("df.head('limit')", set()),
        ("df.query(text)", set()),
        ("print('limit factor', df.query)", set()),
        ("df.eval()", set()),
        ("df.query(QUERY)", {"limit"}),
        ("df.query(f'v > {text} and v > @limit')", {"limit"}),
        ("duckdb.sql(f'select {text} from frame').fetchall()", {"frame"}),
        ("duckdb.sql('select * from x, \"frame\" as v').fetchall()", {"frame"}),
        ("duckdb.sql('summarize frame')", {"frame"}),
        ("globals()['lock']", {"lock"}),
        ("globals().get('limit', 0)", {"limit"}),
        ("'limit' in globals()", {"limit"}),
        ("'{limit} of {lock}'.format(**globals())", {"limit"}),
        ("smf.ols('y ~ pd.Series(v) + twice(v)', df).fit()", {"pd", "twice"}),
        ("eval(compile('limit + 1', '', 'eval'))", {"limit"}),
        ("timeit.timeit('twice(limit)', globals=globals())", {"twice", "limit"}),
        ("globals()", set()),
    ],
)
def test_what_is_found_in_a_text(body: str, found: set[str]) -> None:
    assert looked_up(made(f"def f(df, text=None, con=None):\n    'limit lock v'\n    return {body}")).keys() == found


SOURCES = [
    "def f(x): return helper(frame, x)\ndef helper(df, x): return int(df.query('v > @limit').v.sum()) + x",
    "def f(x): return [int(pd.eval('limit * factor')) + x for _ in range(2)]",
    "def f(x): return eval('limit + factor') + x",
    "class M:\n    def fit(self): return int(frame.query('v >= @limit').v.max())\ndef f(x): return M().fit() + x",
    "def f(x): return globals().get('limit', 0) + x",
    "def f(x, q='v > @limit'): return frame.query(q).v.tolist() + [x]",
    "def outer(q='v > @limit'):\n    def inner(x): return frame.query(q).v.sum() + x\n    return inner\nf = outer()",
    "def outer():\n    def inner(x): return int(frame.eval('v + @factor').sum()) + x\n    return inner\nf = outer()",
]


@pytest.mark.parametrize("source", SOURCES)
def test_it_gives_what_it_gives_here(source: str) -> None:
    function = made(source)
    there = packing.loads(dumps(function)[0])
    assert there(4) == function(4)


def test_a_text_that_is_put_together_is_explained_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import __main__

    monkeypatch.setattr(__main__, "my_limit", 3, raising=False)

    def told(kind: str, message: str) -> str:
        return of_exception(RemoteTraceback(type=kind, message=message), 128)[1]

    for kind, message in (
        ("pandas.errors.UndefinedVariableError", "local variable 'my_limit' is not defined"),
        ("NameError", "name 'my_limit' is not defined"),
        ("patsy.PatsyError", "Error evaluating factor: NameError: name 'my_limit' is not defined"),
        ("_duckdb.CatalogException", "Catalog Error: Table with name my_limit does not exist!"),
    ):
        assert "the notebook has my_limit" in told(kind, message)
        assert "my_limit" not in told(kind, message.replace("my_limit", "other_limit"))


def test_in_a_task(run: Callable[..., Any]) -> None:
    assert run(made(SOURCES[0]), [1, 2]).values() == [4, 5]


def test_polars_which_finds_no_globals_in_a_task_is_explained_with_what_does(monkeypatch: pytest.MonkeyPatch) -> None:
    import __main__

    monkeypatch.setattr(__main__, "my_frame", 3, raising=False)
    error = RemoteTraceback(type="polars.exceptions.SQLInterfaceError", message="relation 'my_frame' was not found")
    assert "pl.SQLContext(my_frame=my_frame)" in of_exception(error, 128)[1]
