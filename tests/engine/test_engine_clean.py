"""A sandbox is clean for every job: whatever tasks do to it, a job's values are those of a loop in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lithops_magic.config import Settings
from lithops_magic.engine import MapResult, api

pytestmark = pytest.mark.usefixtures("local_aws")

CHANGES = {
    "list": ("seen = []", "seen.append(x)", "list(seen)"),
    "counter": ("import collections; counts = collections.Counter()", "counts[x % 2] += 1", "sorted(counts.items())"),
    "global": ("total = 0", "global total; total += x", "total"),
    "default": ("def default(x, box=[]):\n    box.append(x); return list(box)", "got = default(x)", "got"),
    "attribute": ("def kept(): pass\nkept.calls = 0", "kept.calls += 1", "kept.calls"),
    "class": ("class Kept:\n    calls = 0", "Kept.calls += x", "Kept.calls"),
    "nonlocal": (
        "def make(n=0):\n    def add(x):\n        nonlocal n; n += x; return n\n    return add\nadd = make()",
        "got = add(x)",
        "got",
    ),
    "iterator": ("import itertools; numbers = itertools.count()", "got = next(numbers)", "got"),
    "bytes": ("data = bytearray(b'')", "data.append(x)", "list(data)"),
    "builtins": ("import builtins", "builtins.calls = getattr(builtins, 'calls', 0) + 1", "builtins.calls"),
    "library": ("import math", "math.calls = getattr(math, 'calls', 0) + 1", "math.calls"),
    "function of a library": ("import json", "got = json.dumps(1); json.dumps = lambda x: 'changed'", "got"),
    "modules": ("import sys", "got = 'made' in sys.modules; sys.modules['made'] = sys", "got"),
    "registry": ("import copyreg", "got = Ellipsis in copyreg.dispatch_table; copyreg.dispatch_table[...] = 1", "got"),
    "cache": ("import re", "got = re._cache.get('mine'); re._cache['mine'] = x", "got"),
    "seed": ("import random", "random.seed(x) if x % 2 else None", "random.random() if x % 2 else 0"),
    "decimal": ("import decimal", "decimal.getcontext().prec -= 1", "decimal.getcontext().prec"),
    "recursion": ("import sys", "sys.setrecursionlimit(sys.getrecursionlimit() + 1)", "sys.getrecursionlimit()"),
    "collection": ("import gc", "got = gc.isenabled(); gc.disable()", "got"),
    "signal": ("import signal", "got = str(signal.signal(signal.SIGUSR1, signal.SIG_IGN))", "got"),
    "warnings": (
        "import warnings",
        "got = 'ours' in str(warnings.filters); warnings.filterwarnings('ignore', 'ours')",
        "got",
    ),
    "logging": (
        "import logging",
        "root = logging.getLogger(); root.addHandler(logging.NullHandler()); root.setLevel(root.level + 1)",
        "[len(root.handlers), root.level]",
    ),
    "locale": (
        "import locale",
        "got = locale.setlocale(locale.LC_NUMERIC); locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')",
        "got",
    ),
    "loop": (
        "import asyncio",
        "got = asyncio.get_event_loop_policy()._local._set_called; asyncio.run(nothing())",
        "got",
    ),
    "excepthook": ("import threading", "got = hasattr(threading, 'mine'); threading.mine = x", "got"),
}
NOTHING = "async def nothing(): pass\n"

Change = str


def program(changes: list[Change]) -> str:
    """A function that makes these changes and returns what it sees of them."""
    body = ["def task(x):", "    results = []"]
    for change in changes:
        body += textwrap.indent(CHANGES[change][1], "    ").splitlines()
        body.append(f"    results.append({CHANGES[change][2]})")
    return NOTHING + "\n".join([*(CHANGES[change][0] for change in changes), *body, "    return results"])


def in_a_fresh_process(source: str, items: list[int]) -> Any:
    code = f"{source}\nimport json as j; dumps = j.JSONEncoder().encode\nprint(dumps([task(x) for x in {items}]))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def one_sandbox(function: Any, items: Any, **options: Any) -> MapResult:
    """Run a job on the one sandbox that all jobs here share."""
    given = {"chunksize": 1000, "workers": 1, "errors": "keep", **options}
    return api.map(function, items, settings=Settings(local=True, memory=449), **given)


def values_of(source: str, items: list[int]) -> Any:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(source, names)
    result = one_sandbox(names["task"], items)
    assert not result.errors, result.errors
    return json.loads(json.dumps(result.values()))


@given(
    st.lists(st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=4, unique=True), min_size=2, max_size=2)
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_job_sees_nothing_of_another_and_its_rerun_nothing_of_the_first(
    jobs: tuple[list[Change], list[Change]],
) -> None:
    programs = [program(changes) for changes in jobs]
    expected = [in_a_fresh_process(source, [1, 2, 3]) for source in programs]
    for source, values in [*zip(programs, expected, strict=True), (programs[0], expected[0])]:
        assert values_of(source, [1, 2, 3]) == values


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_each_change_is_gone_with_its_job(change: Change) -> None:
    source = program([change])
    expected = in_a_fresh_process(source, [3, 4])
    assert [values_of(source, [3, 4]) for _ in range(2)] == [expected, expected]
