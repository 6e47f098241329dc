"""Items mean what they mean to a `for` loop: the built-in `map` over the same items, elsewhere, is the oracle."""

from __future__ import annotations

import contextvars
import decimal
import itertools
import sqlite3
import sys
import threading
from collections import ChainMap, UserList, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lithops_magic.config import Settings
from lithops_magic.engine import MapResult, api
from lithops_magic.engine.dispatch.items import Items
from lithops_magic.engine.job import job
from lithops_magic.errors import MisuseError
from waiting import eventually

pytestmark = pytest.mark.usefixtures("local_aws")

DEPTH: contextvars.ContextVar[int] = contextvars.ContextVar("DEPTH", default=0)


def lmap(function: Callable[..., Any], *items: Any, **options: Any) -> MapResult:
    return api.map(function, *items, settings=Settings(local=True, memory=256), **options)


def growing() -> Iterator[list[int]]:
    so_far: list[int] = []
    for number in range(5):
        so_far.append(number)
        yield so_far


def one_buffer() -> Iterator[bytearray]:
    buffer = bytearray(3)
    for number in range(6):
        buffer[number % 3] = number
        yield buffer


def grouped() -> Iterator[Iterator[int]]:
    for _, group in itertools.groupby([1, 1, 2, 3, 3, 3]):
        yield group


def rounded() -> Iterator[decimal.Decimal]:
    return (decimal.Decimal(1) / divisor for divisor in (3, 7, 9))


def rows() -> Iterator[tuple[int, ...]]:
    database = sqlite3.connect(":memory:")
    database.execute("create table t (a, b)")
    database.executemany("insert into t values (?, ?)", [(1, 2), (3, 4)])
    return database.execute("select * from t")


local = threading.local()


def of_this_thread() -> Iterator[int]:
    return (local.value + number for number in range(3))


def deep() -> Iterator[int]:
    return (DEPTH.get() for _ in range(3))


def same(value: Any) -> Any:
    return list(value) if isinstance(value, Iterator) else value


@pytest.mark.parametrize("items", [growing, one_buffer, grouped, rounded, rows, of_this_thread, deep])
def test_lazy_items_are_what_the_built_in_map_gives(items: Callable[[], Iterator[Any]]) -> None:
    local.value = 10
    token = DEPTH.set(3)
    try:
        with decimal.localcontext(prec=5):
            # As in a sandbox, where nothing is shared with the next item.
            oracle = [list(value) if isinstance(value, list | bytearray | Iterator) else value for value in items()]
            found = [list(value) if isinstance(value, list | bytearray) else value for value in lmap(same, items())]
    finally:
        DEPTH.reset(token)
    assert found == oracle


@pytest.mark.parametrize("items", [growing, rounded, deep])
def test_behind_the_caller_s_back_the_context_is_the_caller_s(items: Callable[[], Iterator[Any]]) -> None:
    token = DEPTH.set(3)
    try:
        with decimal.localcontext(prec=4):
            oracle = [list(value) if isinstance(value, list) else value for value in items()]
            result = lmap(same, items(), background=True)
    finally:
        DEPTH.reset(token)
    assert result.wait(120)
    assert list(result) == oracle


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    numbers=st.lists(st.integers(0, 9), max_size=12),
    chunksize=st.sampled_from([None, 1, 5]),
    step=st.sampled_from(["append", "clear", "rotate"]),
)
def test_an_object_that_changes_between_items(numbers: list[int], chunksize: int | None, step: str) -> None:
    def items() -> Iterator[deque[int]]:
        state: deque[int] = deque([7, 8])
        for number in numbers:
            if step == "clear" and number % 3 == 0:
                state.clear()
            state.append(number) if step != "rotate" else state.rotate(number)
            yield state

    assert list(lmap(list, items(), chunksize=chunksize)) == [list(state) for state in items()]


class Ends(BaseException):
    pass


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, Ends, ValueError])
@pytest.mark.parametrize("background", [False, True])
def test_whatever_an_iterator_raises_reaches_the_caller(kind: type[BaseException], background: bool) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise kind("from the items")

    def run() -> None:
        result = lmap(lambda x: x + 1, items(), background=background)
        assert result.wait(120)
        assert result.succeeded() == {0: 1, 1: 2, 2: 3}
        result.raise_errors()

    # An interrupt says in its own words what is kept.
    said = None if kind is KeyboardInterrupt and not background else "from the items"
    with pytest.raises(kind, match=said):
        run()


@pytest.mark.parametrize("kind", [SystemExit, Ends, ValueError])
def test_an_item_that_raises_while_it_is_pickled_costs_no_neighbour(kind: type[BaseException]) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            raise kind("no")

        def __repr__(self) -> str:
            raise kind("no")

    for items in ([1, Hostile(), 3], iter([1, Hostile(), 3])):
        result = lmap(lambda x: x, items, errors="keep")
        assert result.succeeded() == {0: 1, 2: 3}
        assert list(result.errors) == [1]
        assert "cannot be pickled" in str(result.errors[1])


class Liar:
    def __init__(self, length: object) -> None:
        self.length = length

    def __len__(self) -> Any:
        if isinstance(self.length, Exception):
            raise self.length
        return self.length

    def __iter__(self) -> Iterator[int]:
        return iter(range(5))


@pytest.mark.parametrize("length", [0, 2, 10**6, -1, "x", TypeError("unknown"), RuntimeError("asked")])
def test_a_length_that_lies_or_raises(length: object) -> None:
    result = lmap(lambda x: x * 2, Liar(length))
    assert list(result) == [0, 2, 4, 6, 8]
    assert result.snapshot().total == 5


def test_what_is_no_iterable_is_refused_in_one_line() -> None:
    for items in (np.array(5), 5, None, object()):
        with pytest.raises(MisuseError, match="items must be iterable, not "):
            lmap(abs, items)


class Numbers(Sequence[int]):
    def __init__(self, *numbers: int) -> None:
        self.numbers = [*numbers]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        return self.numbers[index]

    def clear(self) -> None:
        self.numbers.clear()


@pytest.mark.parametrize(
    "items",
    [
        [3, 1, 2],
        {3: 0, 1: 0, 2: 0},
        {3: 0, 1: 0}.keys(),
        deque([3, 1, 2]),
        {1, 2, 3},
        UserList([3, 1, 2]),
        ChainMap({3: 0}, {1: 0}),
        bytearray(b"abc"),
        Numbers(3, 1, 2),
        np.array([[3, 1], [2, 5]]),
        pd.Series([3, 1, 2], index=[7, 8, 9]),
        pd.DataFrame({"a": [1], "b": [2]}),
        pd.Index([3, 1]),
    ],
    ids=lambda items: type(items).__name__,
)
def test_a_job_owns_a_shallow_copy_of_a_collection(items: Any) -> None:
    oracle = [np.array(item).tolist() for item in items]
    owned = Items(items)
    if isinstance(items, np.ndarray):
        items[:] = 0
    elif hasattr(items, "clear"):
        items.clear()
    assert owned.total == len(oracle)
    assert owned.owned is not None
    assert [np.array(owned.owned[index]).tolist() for index in range(len(oracle))] == oracle
    assert [np.array(item).tolist() for item in owned.iterator] == oracle


def test_what_becomes_of_the_list_is_nothing_to_a_job() -> None:
    items = list(range(300))
    result = lmap(lambda x: x + 1, items, background=True)
    items.clear()
    assert result.wait(120)
    assert list(result) == list(range(1, 301))

    words = ["b", "fail", "a"]
    result = lmap(lambda word: word.upper() if word != "fail" else 1 / 0, words, errors="keep")
    words.sort()
    assert [result.item(index) for index in range(3)] == ["b", "fail", "a"]
    assert list(result.to_frame()["item"]) == ["b", "fail", "a"]
    assert list(result.retry(errors="keep").errors) == [1]
    assert result.item(1) == "fail"


def test_a_failed_item_of_an_iterator_is_tried_again_as_it_was() -> None:
    def fails_at_first(numbers: list[int]) -> int:
        import os

        if os.environ.get("AGAIN") is None and len(numbers) < 3:
            raise ValueError(len(numbers))
        return sum(numbers)

    result = lmap(fails_at_first, growing(), errors="keep")
    assert {index: error.args[0] for index, error in result.errors.items()} == {0: 1, 1: 2}
    assert [result._item_repr(index) for index in (0, 1)] == ["[0]", "[0, 1]"]
    result.retry(env={"AGAIN": "1"})
    assert list(result) == [0, 1, 3, 6, 10]


def test_a_slow_iterator_is_advanced_in_the_caller_s_thread_and_holds_up_no_result() -> None:
    threads: set[int] = set()
    arrived: list[bool] = []

    def items() -> Iterator[int]:
        for number in range(3):
            threads.add(threading.get_ident())
            yield number
        threads.add(threading.get_ident())
        result = jobs[0]
        arrived.append(eventually(lambda: result.snapshot().done == 3))

    jobs: list[Any] = []

    class Seen(job.Job):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            jobs.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "Job", Seen)
        assert list(lmap(lambda x: x * x, items())) == [0, 1, 4]
    assert threads == {threading.get_ident()}
    assert arrived == [True]


def test_a_collection_that_raises_half_way_gives_what_came_before() -> None:
    class Broken(Sequence[int]):
        def __len__(self) -> int:
            return 9

        def __getitem__(self, index: Any) -> Any:
            return index if index < 2 else int("two")

    for items in ([Broken()], [Broken(), Broken()]):
        result = lmap(lambda *each: each[0], *items, background=True)
        assert result.wait(120)
        assert result.succeeded() == {0: 0, 1: 1}
        with pytest.raises(ValueError, match="invalid literal"):
            result.raise_errors()


def test_an_iterator_may_run_a_job_itself() -> None:
    def items() -> Iterator[int]:
        yield from lmap(lambda x: x + 1, iter([1, 2]))

    assert list(lmap(lambda x: x * 10, items())) == [20, 30]


def test_iter_is_called_once() -> None:
    class Once:
        calls = 0

        def __iter__(self) -> Iterator[int]:
            Once.calls += 1
            return iter([1, 2])

    assert list(lmap(abs, Once())) == [1, 2]
    assert Once.calls == 1


def test_a_callback_that_raises_anything_hurts_nobody() -> None:
    def end(_: object) -> None:
        raise SystemExit("no")

    go = threading.Event()

    def items() -> Iterator[int]:
        go.wait(120)
        yield from (1, 2)

    result = lmap(abs, items(), background=True)
    result._job.future(0).add_done_callback(end)
    go.set()
    assert result.wait(120)
    assert list(result) == [1, 2]


def test_types_of_items_bring_their_packages() -> None:
    frame = pd.DataFrame({0: [1, 2], 1: [3.5, 4.5]})

    def total(item: Any) -> float:
        _, values = item
        return float(values.sum())

    expected = [float(row.sum()) for _, row in frame.iterrows()]
    assert list(lmap(total, frame.iterrows())) == expected
    assert list(lmap(total, enumerate(np.eye(2)))) == [1.0, 1.0]
    assert list(lmap(total, {"x": np.arange(3)}.items())) == [3.0]
    assert list(lmap(total, zip("ab", [np.arange(3), np.arange(4)], strict=True))) == [3.0, 6.0]


@pytest.mark.parametrize("lazy", [False, True])
def test_a_type_that_turns_up_later_is_brought_then(lazy: bool) -> None:
    items: list[Any] = [(1,), (2,), *[(number,) for number in range(20)], (np.float64(2.5),), (pd.Timestamp("2020"),)]
    result = lmap(lambda item: str(item[0]), iter(items) if lazy else items, chunksize=3)
    assert list(result) == [str(item[0]) for item in items]


def test_two_threads_that_wait_and_one_that_is_asked() -> None:
    """Only the thread that started a job advances its iterator, however many wait."""
    threads: set[int] = set()

    def items() -> Iterator[int]:
        for number in range(40):
            threads.add(threading.get_ident())
            yield number

    assert sorted(lmap(abs, items(), chunksize=2)) == list(range(40))
    assert threads == {threading.get_ident()}
    assert sys.getrefcount(items) < 10


class Interrupting:
    """An item whose own methods raise what only a person should."""

    def __repr__(self) -> str:
        raise KeyboardInterrupt

    def __reduce__(self) -> Any:
        if self.__dict__.get("whole"):
            raise KeyboardInterrupt
        return Interrupting, ()


def test_an_item_that_raises_an_interrupt_where_nobody_interrupts_costs_itself_only() -> None:
    bad = Interrupting()
    bad.whole = True  # type: ignore[attr-defined]
    items = iter([Interrupting(), 0, bad])
    result = api.map(lambda item: 1 / 0 if item else 1, items, background=True, errors="keep")
    found = result.wait(60), result.error, result.succeeded(), sorted(result.errors), str(result.errors[0])[:70]
    # pytest would ask the items for their repr.
    assert found[:4] == (True, None, {1: 1}, [0, 2])
    assert found[4].startswith("Task 0 (<Interrupting>): ZeroDivisionError")
