"""What a notebook or a script defines goes to another process and comes back: a fresh interpreter is the sandbox."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PRELUDE = """
import base64, subprocess, sys
from lithops_magic import packages
from lithops_magic.worker import packing

# What it is given, it does in a copy of itself as it was in the beginning.
REMOTE = '''
import base64, os, sys
sys.modules["lithops_magic.packages"] = None
from lithops_magic.worker import packing
for line in sys.stdin:
    if (copy := os.fork()) == 0:
        function, item = packing.loads(base64.b64decode(line))
        print(base64.b64encode(packing.dumps(function(item))).decode(), flush=True)
        os._exit(0)
    if os.waitpid(copy, 0)[1]:
        print(flush=True)
'''
remote = subprocess.Popen(
    [sys.executable, "-c", REMOTE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
)

def away(function, item=3):
    print(base64.b64encode(packages.dumps((function, item))[0]).decode(), file=remote.stdin, flush=True)
    answer = remote.stdout.readline().strip()
    assert answer, "it failed there"
    return packing.loads(base64.b64decode(answer))

def same(function, item=3):
    assert away(function, item) == function(item), (away(function, item), function(item))
"""

PROGRAMS = {
    "a cache that calls itself": """
        import functools
        @functools.lru_cache(maxsize=7)
        def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
        same(fib, 20)
        same(lambda n: (fib(n), fib.cache_info().maxsize, fib.__name__), 20)
        assert away(lambda n: fib)(9) == 34
        """,
    "a cache in a class": """
        import functools
        class Model:
            @functools.cache
            def square(self, x): return x * x
            @staticmethod
            @functools.lru_cache
            def cube(x): return x ** 3
        same(lambda x: (Model().square(x), Model.cube(x)))
        """,
    "what was cached stays": """
        import functools
        @functools.cache
        def one(x): return 1
        one(5)
        assert away(lambda x: one.cache_info().currsize) == 0
        """,
    "types of typing": """
        import functools
        from typing import Callable, Generic, NewType, ParamSpec, TypeVar, TypeVarTuple
        UserId, T, P, Ts = NewType("UserId", int), TypeVar("T"), ParamSpec("P"), TypeVarTuple("Ts")
        Admin = NewType("Admin", UserId)
        class Box(Generic[T]):
            def __init__(self, value: T): self.value = value
            def __eq__(self, other): return self.value == other.value
        def logged(f: Callable[P, T]) -> Callable[P, T]:
            @functools.wraps(f)
            def inner(*a: P.args, **k: P.kwargs) -> T: return f(*a, **k)
            return inner
        @logged
        def double(x: int) -> UserId: return UserId(x * 2)
        same(double)
        same(lambda x: Box(Admin(x)))
        same(lambda x: (UserId.__name__, P.__name__, T.__name__, Ts.__name__, UserId.__supertype__))
        """,
    "cached properties": """
        import functools
        class Circle:
            def __init__(self, radius): self.radius = radius
            @functools.cached_property
            def area(self): return 3 * self.radius ** 2
            def __eq__(self, other): return self.area == other.area
        same(lambda x: Circle(x).area)
        same(lambda x: Circle(x))
        same(lambda circle: circle.area, Circle(4))
        """,
    "dispatch by type": """
        import functools
        @functools.singledispatch
        def describe(x): return "anything"
        @describe.register
        def _(x: int): return f"int and {describe('text')}"
        @describe.register(list)
        def _(x): return [describe(each) for each in x]
        class Shape: pass
        @describe.register
        def _(x: Shape): return "shape"
        class Printer:
            @functools.singledispatchmethod
            def show(self, x): return "?"
            @show.register
            def _(self, x: int): return "int"
        same(describe)
        same(lambda x: describe([x, "a", 2.5, Shape()]))
        same(lambda x: (Printer().show(x), Printer().show("x")))
        assert away(lambda x: describe)(3) == describe(3)
        """,
    "slots": """
        from dataclasses import dataclass
        class Point:
            __slots__ = ("x", "__hidden")
            def __init__(self, x): self.x, self.__hidden = x, x + 1
            def __eq__(self, other): return (self.x, self.__hidden) == (other.x, other.__hidden)
        class Point3(Point):
            __slots__ = "z"
        class Open(Point):
            pass
        @dataclass(slots=True)
        class Plain:
            a: int
            b: list
        @dataclass(slots=True, frozen=True, weakref_slot=True)
        class Frozen:
            a: int
        for kind in (Point, Point3, Open, Frozen):
            same(lambda x: kind(x))
            same(lambda point: point, kind(5))
            assert type(away(lambda x: kind(x))) is kind
        same(lambda x: Plain(x, [x]))
        assert away(lambda x: hasattr(Point(x), "__dict__")) is False
        """,
    "enums and named tuples": """
        import collections, enum
        from typing import NamedTuple, TypedDict
        class Color(enum.Enum): RED = 1; BLUE = 3
        class Access(enum.Flag): READ = 1; WRITE = 2
        Pair = collections.namedtuple("Pair", "a b")
        class Row(NamedTuple):
            a: int
            b: str = "x"
        class Options(TypedDict): a: int
        same(lambda x: (Color(x), Access(x), Pair(x, 1), Row(x), Options(a=x)))
        assert away(lambda x: Color(x)) is Color.BLUE
        """,
    "variables of a context or a thread": """
        import contextvars, threading
        depth = contextvars.ContextVar("depth", default=1)
        plain = contextvars.ContextVar("plain")
        local = threading.local()
        local.x = 5
        same(lambda x: depth.get() + local.x)
        depth.set(7)
        same(lambda x: (depth.get(), plain.get(None)))
        """,
}


def run(folder: Path, program: str) -> str:
    file = folder / "script.py"
    file.write_text(PRELUDE + textwrap.dedent(program))
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_what_a_script_defines_goes_and_comes_back(program: str, tmp_path: Path) -> None:
    run(tmp_path, program)


REFUSED = {
    "lock": ("import threading; lock = threading.Lock(); f = lambda x: lock", "'lock'.*tasks share no memory"),
    "class": (
        "import threading\nclass C: guard = threading.Lock()\nf = lambda x: C.guard",
        "lock.*tasks share no memory",
    ),
    "generator": ("g = (i for i in range(3)); f = lambda x: next(g)", "'g'.*pass a list of its values"),
    "file": ("import tempfile; log = tempfile.TemporaryFile(); f = lambda x: log", "'log'.*pass its content"),
    "database": ("import sqlite3; db = sqlite3.connect(':memory:'); f = lambda x: db", "'db'.*connect inside"),
    "name": (
        "class S:\n    def __reduce__(self): return 'NOTHING'\nNOTHING = S()\nf = lambda x: NOTHING",
        "'NOTHING'.*by its name alone",
    ),
    "ufunc": ("import numpy as np; uf = np.frompyfunc(abs, 1, 1); f = lambda x: uf(x)", "'uf'"),
    "executor": (
        "from concurrent.futures import ThreadPoolExecutor as E; pool = E(); f = lambda x: pool",
        "'pool'.*the tasks already run in parallel",
    ),
    "out": ("Out = {1: (i for i in 'a')}; f = lambda x: Out[1]", r"'Out'.*value = Out\[3\]"),
    "widget": ("import ipywidgets; slider = ipywidgets.IntSlider(); f = lambda x: slider.value", "slider"),
}


TELLING = """
import json, os, sys
from lithops_magic.engine.wire.function import Function
from lithops_magic.errors import SerializationError

for name, source in json.load(sys.stdin).items():
    if (copy := os.fork()) == 0:
        exec(source)
        try:
            Function.pickle(f)
            told = None
        except SerializationError as error:
            told = str(error)
        print(json.dumps([name, told]), flush=True)
        os._exit(0)
    assert os.waitpid(copy, 0)[1] == 0, name
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """What is said of each, where a copy of the same process defines it."""
    file = tmp_path_factory.mktemp("refused") / "script.py"
    file.write_text(TELLING)
    sources = json.dumps({name: source for name, (source, _) in REFUSED.items()})
    done = subprocess.run([sys.executable, str(file)], input=sources, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(map(json.loads, done.stdout.splitlines()))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_travel_is_refused_before_anything_is_sent(name: str, told: dict[str, str | None]) -> None:
    _, said = REFUSED[name]
    if (message := told[name]) is None:
        assert name == "widget"
    else:
        assert re.search(said, message)
        assert "\n" not in message
