"""A cached value is used only where recomputing would give the same: generated programs, and pairs that look alike."""

from __future__ import annotations

import copy
import functools
import importlib
import itertools
import subprocess
import sys
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops_magic.config import Settings
from lithops_magic.engine.cache.keys import Keys
from lithops_magic.engine.cache.meaning import Meaning, Undetermined
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.wire.function import Function
from lithops_magic.packages import Request
from lithops_magic.worker.cell import READS
from thorough import WITH_FIXTURES, share

MODULE = "SCALE = {module_global}\ndef shift(x):\n    return x * SCALE + {module_code}\n"

NOTEBOOK = """
import functools
import {module}
import math
offset = {captured}
table = {{"a": [{nested}, 2], "b": {{3, 4}}}}
limit = {through}
def inner(x, power={default}, *, plus={keyword}):
    return x ** power + plus + limit
def helper(x):
    return inner(x) + {body} + table["a"][0]
def maker(k):
    def closed(x):
        return x + k
    return closed
add = maker({closure})
class Base:
    factor = {base}
    def scaled(self, x):
        return x * self.factor
class Model(Base):
    bias = {attribute}
    def __init__(self, start):
        self.start = start
    @property
    def plus(self):
        return {prop}
    @staticmethod
    def fixed():
        return {static}
    def __call__(self, x):
        return self.scaled(x) + self.bias + self.start + self.plus + self.fixed()
model = Model({instance})
def doubled(f):
    @functools.wraps(f)
    def wrapper(x):
        return f(x) + {decorator}
    return wrapper
@doubled
def wrapped(x):
    return x
late = functools.partial(pow, {partial})
small = lambda x: x + {anonymous}
def mapped(x):
    total = [helper(x), add(x), model(x), wrapped(x), late(x), small(x)]
    if x > {constant}:
        total.append("far")
    return total + [offset, {module}.shift(x), math.isqrt(abs(x))]
"""

SLOTS = (
    *("captured", "nested", "through", "default", "keyword", "body", "closure", "base", "attribute", "prop", "static"),
    *("instance", "decorator", "partial", "anonymous", "constant", "module_global", "module_code"),
)
VALUES = st.fixed_dictionaries({slot: st.integers(1, 3) for slot in SLOTS})
SETTINGS = Settings(local=True)
_numbers = itertools.count()


def keys_of(function: Callable[..., Any], **options: Any) -> Keys:
    return Keys(function, SETTINGS, MapOptions(**options))


def name_of(function: Callable[..., Any], item: Any = 0, **options: Any) -> tuple[str, bytes]:
    keys = keys_of(function, **options)
    return keys.of_function(), digest(keys, item)


def digest(keys: Keys, item: Any) -> bytes:
    key = keys.of_item(item)
    return key.digest if key else b""


class Notebook:
    """Programs whose module has one name, each as in a kernel of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.module = f"cached_module_{next(_numbers)}"

    def run(self, values: dict[str, int], decorate: Callable[[str], str] = lambda text: text) -> Callable[[int], Any]:
        (self._folder / f"{self.module}.py").write_text(decorate(MODULE.format(**values)))
        sys.modules.pop(self.module, None)
        importlib.invalidate_caches()
        names: dict[str, Any] = {"__name__": "__main__"}
        source = decorate(NOTEBOOK.format(module=self.module, **values))
        exec(compile(source, f"<cell {next(_numbers)}>", "exec"), names)
        found: Callable[[int], Any] = names["mapped"]
        return found


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return Notebook(tmp_path)


many = settings(
    max_examples=share(15, 100),
    deadline=None,
    suppress_health_check=WITH_FIXTURES,
)


@many
@given(VALUES, st.sampled_from(SLOTS), st.integers(-3, 3))
def test_whatever_is_changed_is_a_miss(notebook: Notebook, values: dict[str, int], slot: str, item: int) -> None:
    before = name_of(notebook.run(values), item)
    assert name_of(notebook.run({**values, slot: values[slot] + 1}), item) != before
    assert name_of(notebook.run(values), item + 1) != before


@many
@given(VALUES, VALUES, st.integers(-3, 3), st.integers(-3, 3))
def test_a_hit_is_what_recomputing_gives(
    notebook: Notebook, one: dict[str, int], other: dict[str, int], item: int, another: int
) -> None:
    # Few slots differ, or hits would be too rare to mean anything.
    other = {slot: value if slot in SLOTS[::6] else one[slot] for slot, value in other.items()}
    first = notebook.run(one)
    value, name = first(item), name_of(first, item)
    second = notebook.run(other)
    if name_of(second, another) == name:
        assert second(another) == value
    else:
        assert (one, item) != (other, another)


def cosmetics(draw: Callable[[Any], Any]) -> Callable[[str], str]:
    """Comments and blank lines wherever they may stand, and other lines above."""

    def decorate(text: str) -> str:
        lines = ["# above\n" * draw(st.integers(0, 3))]
        for line in text.splitlines():
            lines.append(line + draw(st.sampled_from(["", "  # a comment", "   "])) if line.strip() else line)
            lines += draw(st.sampled_from([[], [""], ["# another"], ["", "    # indented", ""]]))
        return "\n".join(lines) + "\n"

    return decorate


@many
@given(VALUES, st.data())
def test_comments_blank_lines_and_the_place_of_a_cell_are_a_hit(
    notebook: Notebook, values: dict[str, int], data: st.DataObject
) -> None:
    before = name_of(notebook.run(values), 1)
    assert name_of(notebook.run(values, cosmetics(data.draw)), 1) == before


shared: list[int] = []
Pair = namedtuple("Pair", "a b")


class Plain:
    def __init__(self, x: Any) -> None:
        self.x = x


ALIKE: list[Any] = [
    *(1, True, 1.0, 1 + 0j, "1", b"1", "True", bytearray(b"1"), Fraction(1), np.int64(1), np.int32(1), np.float64(1)),
    *(0, False, 0.0, -0.0, float("nan"), None, "", b"", (), [], {}, set(), frozenset(), "None", [None], (None,)),
    *([1, 2], (1, 2), {1, 2}, frozenset({1, 2}), [2, 1], [[1], 2], [1, [2]], [12], ["1", "2"], ["12"], ["1,2"]),
    *({1: 2, 3: 4}, {3: 4, 1: 2}, OrderedDict({1: 2, 3: 4}), defaultdict(int, {1: 2, 3: 4}), {1: 2}, {(1, 2): 3}),
    # What is one object may be changed in two places at once.
    *([shared, shared], [shared, []], [[], []][:1], {8, 0}, {0, 8}, {0, 8, 16}, [{8, 0}]),
    *(Pair(1, 2), Plain(1), Plain(2), Plain((1, 2)), Plain, Pair, range(2), range(0, 2, 2), slice(1, 2), slice(2)),
    *(np.array([1, 2]), np.array([1, 2], "i4"), np.array([1.0, 2]), np.array([[1, 2]]), np.array([[1], [2]])),
    *(np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]], order="F"), np.array([[1, 3], [2, 4]])),
    *(
        np.array([1, None]),
        np.array(["1", "2"]),
        np.arange(5000),
        np.arange(5000) + 1,
        np.ma.array([1, 2], mask=[0, 1]),
    ),
    *(pd.Series([1, 2]), pd.Series([1, 2], name="x"), pd.Series([1, 2], index=[1, 0]), pd.DataFrame({"x": [1, 2]})),
    *(pd.Timestamp(0), pd.Timestamp(0, tz="UTC"), pd.Timedelta(0), np.datetime64(0, "s"), np.datetime64(0, "ms")),
    *(len, max, str.upper, str.lower, np.sum, np.mean, abs, int, float, print, lambda x: x, lambda y: y),
    *("é", "e\u0301", "\ud800", "\ud801", 10**5000, 10**5000 + 1, 2**64, -(2**64), 255, -1, 256),
]


@pytest.mark.no_cover
def test_what_looks_alike_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    # No package changes meanwhile, but looking takes a while where there are so many functions.
    looked = sys.modules["lithops_magic.packages.identity"]
    monkeypatch.setattr(looked, "_identity", functools.cache(vars(looked)["_identity"]))
    keys = keys_of(abs)
    names = [digest(keys, item) for item in ALIKE]
    assert all(names)
    double = [(ALIKE[i], ALIKE[j]) for i, j in itertools.combinations(range(len(ALIKE)), 2) if names[i] == names[j]]
    assert double == []
    # And the same function told again, of a copy of the item, is a hit.
    again = keys_of(abs)
    assert [digest(again, copy.deepcopy(item)) for item in ALIKE] == names
    functions = [name_of(lambda x, item=item: (x, item)) for item in ALIKE]
    assert len(set(functions)) == len(ALIKE)


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.floats() | st.binary(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_items_that_differ_in_repr_differ_in_name(item: Any) -> None:
    keys = keys_of(abs)
    other = [item]
    assert digest(keys, item) == digest(keys, copy.deepcopy(item))
    assert digest(keys, other) != digest(keys, item)
    assert digest(keys, (item, 1)) != digest(keys, (item, True))


def test_a_class_that_was_run_again_is_another_one_for_the_items_made_before() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    define = compile("class Point:\n    x = 1", "<cell>", "exec")
    exec(define, names)
    exec("def mapped(p):\n    return isinstance(p, Point)", names)
    before = names["Point"]()
    old = name_of(names["mapped"], before)
    assert names["mapped"](before)
    exec(define, names)
    assert not names["mapped"](before)
    assert name_of(names["mapped"], before) != old
    # Made anew, all is as it was.
    assert name_of(names["mapped"], names["Point"]()) == old


OPTIONS = [{"env": {"A": "1"}}, {"env": {"A": "2"}}, {"starmap": True}, {"packages": "none"}, {"packages": "six"}]


def test_what_else_a_task_can_see_is_part_of_the_name() -> None:
    names = [name_of(max, **options) for options in ({}, *OPTIONS)]
    assert len(set(names)) == len(names)
    for changed in ({"architecture": "arm64"}, {"env_vars": {"A": "1"}}, {"layers": ("arn:aws:lambda:r:1:layer:a:1",)}):
        names.append((Keys(max, SETTINGS.replace(**changed), MapOptions()).of_function(), b""))
    assert len(set(names)) == len(names)
    keys = keys_of(max)
    assert keys.of_function(["numpy here 2, there 1"]) != keys.of_function()
    # What only decides how fast it is, is not.
    assert name_of(max, memory=512, timeout=9, retries=0, chunksize=3, workers=2) == names[0]


def test_the_content_of_files_that_are_sent_is_part_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def reads(x: int) -> str:
        with open("data.py") as file:  # noqa: PTH123
            return file.read()

    names = []
    for text in ("x = 1", "x = 1  # a comment is content here", "x = 2", "x = 1"):
        Path("data.py").write_text(text)
        keys = keys_of(reads, files="data.py")
        assert keys.impure == []
        names.append(keys.of_function())
    assert names[0] == names[3]
    assert len(set(names)) == 3
    assert keys_of(reads).impure == ["files or the network"]


def test_a_file_that_changes_while_the_job_starts_is_no_hit_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.txt").write_text("before")
    options = MapOptions(files="data.txt")
    sent = Function.pickle(abs, (), Request.parse(None, "data.txt")).need.sources
    assert Keys(abs, SETTINGS, options, sent)
    Path("data.txt").write_text("after")
    with pytest.raises(Undetermined, match="a file was changed"):
        Keys(abs, SETTINGS, options, sent)


def test_an_image_that_is_named_by_a_tag_may_come_to_mean_another_one() -> None:
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/tools"
    with pytest.raises(Undetermined, match="use its digest"):
        Keys(abs, SETTINGS.replace(runtime=f"{image}:1"), MapOptions())
    assert Keys(abs, SETTINGS.replace(runtime=f"{image}:1@sha256:{'0' * 64}"), MapOptions())


def test_a_file_beside_a_module_counts_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"with_data_{next(_numbers)}"
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("def f(x): return x")
    (package / "template.py").write_text("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    function = importlib.import_module(name).f
    before = name_of(function)
    (package / "template.py").write_text("x = 1  # said otherwise")
    assert name_of(function) != before
    (package / "template.py").write_text("x = 1")
    assert name_of(function) == before
    (package / "__init__.py").write_text("def f(x): return x  # said otherwise")
    assert name_of(function) == before


def test_versions_of_packages_are_part_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from lithops_magic.packages import distributions

    def uses(x: Any) -> Any:
        return np.sum(x)

    before, plain, item = name_of(uses), name_of(max), digest(keys_of(max), np.arange(3))
    version_of = distributions.version_of
    monkeypatch.setattr(distributions, "version_of", lambda one: version_of(one) + ".post9")
    assert name_of(uses) != before
    assert digest(keys_of(max), np.arange(3)) != item
    assert name_of(max) == plain


def test_an_edited_file_of_an_installed_package_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "site"
    for name, text in {
        "edited_package/__init__.py": "def f(x): return x + 1\n",
        "edited_package-1.0.dist-info/METADATA": "Name: edited-package\nVersion: 1.0\n",
        "edited_package-1.0.dist-info/WHEEL": "Tag: py3-none-any\n",
        "edited_package-1.0.dist-info/RECORD": "edited_package/__init__.py,,\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.syspath_prepend(str(root))
    function = importlib.import_module("edited_package").f
    before = name_of(function)
    assert name_of(function) == before
    (root / "edited_package/__init__.py").write_text("def f(x): return x + 2\n")
    assert name_of(function) != before


SCRIPT = """
import dataclasses, enum, functools, sys
from lithops_magic.config import Settings
from lithops_magic.engine.cache.keys import Keys
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.wire.function import Function
from lithops_magic.packages import Request
class Colour(enum.Enum):
    red = "r"; blue = "b"
@dataclasses.dataclass
class Point:
    x: int = 0
    tags: frozenset = dataclasses.field(default_factory=lambda: frozenset({"a", "b", "c", "d"}))
@functools.lru_cache
def cached(x): return x
seen = {"alpha", "beta", "gamma"}
def mapped(p): return cached(p.x), p in seen, Colour.red, {"x", "y", "z"}
keys = Keys(mapped, Settings(local=True), MapOptions())
print(keys.of_function(), keys.of_item(Point(3)).digest, keys.of_item({"q", "r", Colour.blue.value}).digest)
"""


def test_another_process_gives_the_same_names() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1, found


def test_a_cell_is_named_by_what_it_reads() -> None:
    def cell(k: int) -> Callable[..., Any]:
        names = {"__name__": "__main__", "k": k, "unread": object()}
        exec("def mapped(): return k", names)
        vars(names["mapped"])[READS] = ("k",)
        found: Callable[..., Any] = names["mapped"]  # type: ignore[assignment]
        return found

    assert name_of(cell(1)) == name_of(cell(1))
    assert name_of(cell(1)) != name_of(cell(2))


def test_what_has_no_meaning_says_so() -> None:
    lock = __import__("threading").Lock()
    with pytest.raises(Undetermined, match="lock"):
        keys_of(lambda x: lock)
    told: list[str] = []
    keys = Keys(abs, SETTINGS, MapOptions(), say=told.append)
    assert [keys.of_item(lock), keys.of_item(lock), bool(keys.of_item(1))] == [None, None, True]
    assert len(told) == 1
    assert "lock" in told[0]
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Undetermined, match="nested"):
        Meaning().add(deep)
    loop: list[Any] = []
    loop.append(loop)
    assert keys.of_item(loop)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import random\ndef f(x): return random.random()", ["random numbers"]),
        ("import numpy as np\ndef f(x): return np.random.rand()", ["random numbers"]),
        ("import numpy as np\ndef f(x): return np.random.default_rng(x).random()", []),
        ("def f(x):\n    import uuid\n    return uuid.uuid4()", ["random numbers"]),
        ("import time\ndef f(x): return time.time()", ["the time"]),
        ("import time\ndef f(x): time.sleep(x)", []),
        ("from time import time as now\ndef f(x): return now()", ["the time"]),
        ("from random import Random\ndef f(x): return Random(x).random()", []),
        ("from datetime import datetime\ndef f(x): return datetime.now()", ["the time"]),
        ("import os\ndef f(x): return os.environ['A']", ["the environment"]),
        ("def g(): return open('a')\ndef f(x): return g()", ["files or the network"]),
        ("import pandas as pd\ndef f(x): return pd.read_csv(x)", ["files or the network"]),
        ("def f(x): return [open(y) for y in x]", ["files or the network"]),
        ("import math\ndef f(x): return math.sqrt(x)", []),
    ],
)
def test_what_code_visibly_depends_on(source: str, found: list[str]) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(source, names)
    assert keys_of(names["f"]).impure == found
