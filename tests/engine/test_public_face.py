"""The public face: every name has its line, every option one declaration, every wrong argument one line."""

from __future__ import annotations

import ast
import asyncio
import enum
import inspect
import itertools
import math
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any, assert_type

import numpy as np
import pytest

import lithops_magic
from faulty_lambda import FaultyLambda
from lithops_magic.aws import local_server
from lithops_magic.config import Settings, limits
from lithops_magic.config.settings import ALIASES, CREDENTIALS, SETTING_OF
from lithops_magic.engine import MapOptions, MapResult, options
from lithops_magic.engine.arguments import check_items
from lithops_magic.engine.dispatch.items import Source
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.wire.function import Function
from lithops_magic.errors import MisuseError, TaskError, TaskPending

SETTINGS = Settings(local=True, memory=256, timeout=10)


def lmap(function: Callable[..., Any], *iterables: Any, **given: Any) -> MapResult:
    return lithops_magic.map(function, *iterables, **{"settings": SETTINGS, "packages": "none", **given})


# Names


def first_line(named: object) -> str:
    return (inspect.getdoc(named) or "").partition("\n")[0]


def test_the_table_of_names_is_complete_and_true() -> None:
    first, _, second = (lithops_magic.__doc__ or "").partition("A result is a sequence")
    names, members = (dict(re.findall(r"^(\w+)  +(\S.*)$", table, re.MULTILINE)) for table in (first, second))
    assert names == {name: first_line(getattr(lithops_magic, name)) for name in lithops_magic.__all__}
    public = {name for name in dir(MapResult) if not name.startswith("_")} - set(dir(Sequence))
    assert members == {name: first_line(getattr(MapResult, name)) for name in public}


def test_every_module_that_is_public_is_reached_from_the_package() -> None:
    program = (
        "import lithops_magic; lithops_magic.config.load; lithops_magic.callbacks.Tqdm; lithops_magic.errors.TaskError"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


# Options


def declared() -> dict[str, str]:
    """The options of `MapOptions`, each with its words."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(MapOptions))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, words in itertools.pairwise(tree.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(words, ast.Expr), field.target.id
            assert isinstance(words.value, ast.Constant)
            found[field.target.id] = " ".join(str(words.value.value).split())
    return found


def test_map_has_the_options_that_are_declared_with_their_defaults_and_words() -> None:
    words = declared()
    assert set(words) == {field.name for field in fields(MapOptions)} == set(options._CHECKS)
    signature = inspect.signature(lithops_magic.map).parameters
    own = {"function", "iterables", "reduce", "settings", "background", "progress"}
    assert set(signature) - own == set(words) - {"label", "about"}
    documented = inspect.getdoc(lithops_magic.map) or ""
    parameters = documented.partition("Parameters")[2].partition("Returns")[0]
    told = {name: " ".join(text.split()) for name, text in re.findall(r"^(\w+)\n((?:    .*\n)+)", parameters, re.M)}
    assert set(told) == set(signature)
    plain = MapOptions()
    for name in set(words) - {"label", "about"}:
        assert told[name] == words[name]
        default = signature[name].default
        assert (default or ()) == getattr(plain, name) if name == "env" else default == getattr(plain, name)


def test_the_notebooks_options_and_defaults_are_those_of_the_engine() -> None:
    from lithops_magic.notebook.magics.map import LambdaMagics
    from lithops_magic.notebook.parse import options as flags

    traits = LambdaMagics.class_traits(config=True)
    plain = MapOptions()
    line = {option.field for option in flags.MAP}
    for name in flags.ENGINE:
        assert name in declared()
        assert name in line
        assert traits[name].default_value in (getattr(plain, name), None)
    assert {"env", "detach", "files"} <= line & set(declared())
    assert set(declared()) - set(flags.ENGINE) == {
        "env",
        "detach",
        "files",
        "reduce_by",
        "to_s3",
        "keep_after",
        "starmap",
        "callbacks",
        "label",
        "about",
    }
    for name in ("memory", "timeout", "tmp"):
        allowed = getattr(limits, name.upper())
        assert (traits[name].min, traits[name].max) == (allowed.low, allowed.high)  # type: ignore[attr-defined]


def test_settings_and_options_of_one_thing_are_in_one_table() -> None:
    settings = {field.name for field in fields(Settings)}
    assert set(SETTING_OF.values()) <= settings
    assert set(SETTING_OF) <= set(declared())
    assert set(ALIASES.values()) <= set(declared())
    assert not set(ALIASES) & set(declared())
    assert {field.name for field in fields(Settings) if not field.repr} == {*CREDENTIALS, "env_vars"}


WRONG = [
    ({"memory": "2048"}, "memory must be a whole number from 128 to 10,240 MB, not '2048'"),
    ({"memory": 64}, "memory must be a whole number from 128"),
    ({"memory": 512.5}, "memory must be"),
    ({"memory": True}, "memory must be"),
    ({"timeout": 901}, "timeout must be a whole number from 1 to 900 seconds, not 901"),
    ({"tmp": [512]}, "tmp must be"),
    ({"chunksize": 0}, "chunksize must be a whole number of at least 1"),
    ({"workers": "many"}, "workers must be"),
    ({"retries": -1}, "retries must be"),
    ({"retries": None}, "retries must be"),
    ({"retry_errors": "yes"}, "retry_errors must be True or False, not 'yes'"),
    ({"retry_memory": 1}, "retry_memory must be a factor above 1"),
    ({"retry_memory": math.nan}, "retry_memory must be"),
    ({"max_cost": 0}, "max_cost must be"),
    ({"max_cost": "1"}, "max_cost must be"),
    ({"keep_after": -1}, "keep_after must be"),
    ({"errors": "ignore"}, "errors must be 'raise' or 'keep', not 'ignore'"),
    ({"errors": ["raise"]}, "errors must be"),
    ({"locals": 2}, "locals must be"),
    ({"env": "A=1"}, "env must be names and values"),
    ({"env": {"A": 1}}, "env must be names and values"),
    ({"env": {"A=B": "sesame"}}, "env must be names and values"),
    ({"packages": 3}, "packages must be"),
    ({"packages": [1]}, "packages must be"),
    ({"env": {"A\0": "sesame"}}, "env must be names and values"),
    ({"env": {"A": "sesame\0"}}, "env must be names and values"),
    ({"callbacks": "print"}, "callbacks must be"),
    ({"settings": {"memory": 512, "secret": "sesame"}}, "map: settings must be what lithops_magic.config.load()"),
    ({"settings": "lithops.yaml"}, "map: settings must be"),
    ({"background": "no"}, "background must be True or False"),
    ({"progress": 1}, "progress must be True or False"),
]


@pytest.mark.parametrize(("given", "problem"), WRONG)
def test_a_wrong_option_is_one_line_of_one_class(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(MisuseError) as caught:
        lmap(abs, [1], **given)
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "given", "problem"),
    [
        ((abs, [1]), {"starmap": None}, "starmap must be True or False"),
        (("abs", [1]), {}, "map: function must be callable, not 'abs'"),
        ((abs,), {}, "map: there is nothing to map over"),
        ((abs, 5), {}, "items must be iterable, not 5"),
        ((abs, [1], None), {}, "items must be iterable, not None"),
        ((abs, [1]), {"reduce": "sum"}, "map: reduce must be callable, not 'sum'"),
        ((abs, [1], [2]), {"starmap": True}, "map: starmap=True takes one iterable"),
    ],
)
def test_a_wrong_argument_is_one_line_of_one_class(
    local_aws: Any, arguments: Any, given: dict[str, Any], problem: str
) -> None:
    with pytest.raises(MisuseError) as caught:
        lithops_magic.map(*arguments, settings=SETTINGS, **given)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


class Indexed:
    def __getitem__(self, index: int) -> int:
        raise IndexError


class Refusing:
    __iter__ = None

    def __getitem__(self, index: int) -> int:
        raise IndexError


class Color(enum.Enum):
    RED = 1


class Watching:
    """Iterating over it has an effect."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError


@pytest.mark.parametrize("items", [5, None, abs, object(), np.array(5), np.float64(5), Refusing(), Color.RED, int])
def test_items_are_looked_at_before_a_local_aws_is_started(items: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(local_server, "begin", lambda: begun.append("begun"))
    with pytest.raises(MisuseError, match=r"^map: items must be iterable, not "):
        lithops_magic.map(abs, items, settings=SETTINGS)
    assert begun == []


@pytest.mark.parametrize(("given", "most"), [({"max_cost": 1.0}, 1), ({"reduce": sum}, 1), ({}, 100_001)])
def test_what_cannot_be_detached_is_refused_before_a_local_aws_is_started(
    given: Any, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(local_server, "begin", lambda: begun.append("begun"))
    with pytest.raises(MisuseError, match=r"^detach: "):
        lithops_magic.map(abs, range(most), settings=SETTINGS, detach=True, **given)
    assert begun == []


@pytest.mark.parametrize("items", [[], "ab", Color, Indexed(), Watching(), np.array([5]), iter([]), {}, range(0)])
def test_what_may_be_iterable_passes_and_is_not_iterated(items: Any) -> None:
    check_items(items)


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    made = MapOptions(memory=numpy.int64(512), max_cost=numpy.float32(1), backups=numpy.bool_(True))
    assert (made.memory, made.max_cost, made.backups) == (512, 1.0, True)
    assert [type(each) for each in (made.memory, made.max_cost, made.backups)] == [int, float, bool]


# Several iterables


@pytest.mark.parametrize(
    "iterables",
    [([1, 2, 3], [10, 20, 30]), (range(3), "abcd", [0.5, 1.5]), ([1], []), ({"a": 1, "b": 2}, (1, 2))],
)
def test_several_iterables_are_pythons_map(local_aws: Any, iterables: Any) -> None:
    def both(*arguments: Any) -> tuple[Any, ...]:
        return arguments

    assert lmap(both, *iterables).values() == list(map(both, *iterables))
    endless = (itertools.count(), *iterables)
    assert lmap(both, *endless).values() == list(map(both, itertools.count(), *iterables))


def test_starmap_is_pythons(local_aws: Any) -> None:
    items = [(2, 5), (3, 2), [10, 3]]
    result = lmap(pow, items, starmap=True)
    assert result.values() == list(itertools.starmap(pow, items))
    assert result.item(2) == [10, 3]

    async def later(x: int, *rest: int) -> int:
        return x + sum(rest)

    assert lmap(later, iter([(1,), (1, 2), (1, 2, 3)]), starmap=True, reduce=sum).reduced == 1 + 3 + 6
    failed = lmap(pow, [(2, 5), 3], starmap=True, errors="keep")
    assert isinstance(failed.errors[1], TypeError)
    assert failed.retry().succeeded() == {0: 32}
    with pytest.raises(TypeError):
        failed.debug(1)
    assert result.debug(0) == 32


# A future's vocabulary


def halted() -> tuple[MapResult, threading.Event]:
    """A job of which tasks 2 and later wait."""
    gate = threading.Event()

    def fault(ids: list[int]) -> None:
        if ids[0] >= 2:
            gate.wait(60)

    job = Job(MapOptions(chunksize=1, retries=0, errors="keep"), str, 4)

    def tenfold(x: int) -> int:
        return 10 // x

    Scheduler(job, Function.pickle(tenfold), Source([1, 0, 2, 5]), FaultyLambda(fault, workers=4)).start()
    return MapResult(job), gate


def test_a_result_speaks_a_futures_language() -> None:
    result, gate = halted()
    assert (result.done(), result.running(), result.cancelled()) == (False, True, False)
    for ask in (result.result, result.exception):
        with pytest.raises(TimeoutError, match="not finished"):
            ask(timeout=0.01)
    gate.set()
    assert isinstance(result.exception(timeout=60), ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        result.result()
    with pytest.raises(TaskError):
        result.values()
    assert result.succeeded() == {0: 10, 2: 5, 3: 2}
    assert (result.done(), result.running(), result.cancel(), result.cancelled()) == (True, False, False, False)


def test_a_cancelled_result_says_so() -> None:
    result, gate = halted()
    assert result.cancel() is True
    assert result.cancel() is False
    assert (result.done(), result.cancelled()) == (True, True)
    gate.set()


def test_values_are_aligned_or_raise() -> None:
    result, gate = halted()
    while len(result.succeeded()) + len(result.errors) < 2:
        result.wait(0.05)
    with pytest.raises((TaskError, TaskPending)):
        result.values()
    gate.set()
    assert result.wait(120)
    assert list(result.succeeded()) == [0, 2, 3]


def test_awaited_results_block_no_thread_of_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [halted() for _ in range(40)]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "run_in_executor", lambda *_: pytest.fail("a thread was asked for"))
        waiting = [asyncio.ensure_future(_wait(result)) for result, _ in jobs]
        await asyncio.sleep(0)
        waiting[0].cancel()
        for _, gate in jobs:
            gate.set()
        done = await asyncio.wait_for(asyncio.gather(*waiting[1:]), 60)
        assert done == [result for result, _ in jobs[1:]]
        assert await jobs[1][0] is jobs[1][0]

    asyncio.run(main())


async def _wait(result: MapResult) -> MapResult:
    return await result


def test_an_awaited_result_outlives_its_loop() -> None:
    result, gate = halted()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_wait(result), 0.01)

    asyncio.run(main())
    gate.set()
    assert result.wait(120)


# Types


def what_a_type_checker_knows_of_what_comes_back() -> None:
    """Nobody calls it: mypy reads it in scripts/lint."""

    def half(x: int) -> float:
        return x / 2

    async def later(x: int) -> bytes:
        return b""

    result = lithops_magic.map(half, [1, 2])
    assert_type(result, MapResult[float])
    assert_type(result[0], float)
    assert_type(result.values(), list[float])
    assert_type(result.succeeded(), dict[int, float])
    assert_type(result.futures[0].result(), float)
    assert_type(lithops_magic.map(later, [1]), MapResult[Any])
