"""Items are taken as a `for` loop takes them, no sooner than they are asked for, in the right thread and context."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest

from lithops_magic.engine.cache.keys import Key
from lithops_magic.engine.dispatch import items as module
from lithops_magic.engine.dispatch.items import Exhausted, Items, Pulled, Source
from lithops_magic.engine.wire.item import Prepared
from lithops_magic.errors import MisuseError, SerializationError

LIMIT = 30.0
"""Seconds that a thread may take on a busy machine."""


class Opaque:
    """What only has an iterator."""

    def __init__(self, *items: Any, length: Any = None) -> None:
        self._items = items
        self._length = length

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        if isinstance(self._length, int):
            return self._length
        raise TypeError("it is not known")


def pulled(source: Source) -> list[Any]:
    """What can be taken now, as the task would get it."""
    return [
        taken.prepared.load(None) if isinstance(taken.prepared, Prepared) else taken.prepared for taken in source.take()
    ]


def started(source: Source) -> queue.SimpleQueue[Pulled | Exhausted]:
    told: queue.SimpleQueue[Pulled | Exhausted] = queue.SimpleQueue()
    source.start(told.put)
    return told


def all_of(told: queue.SimpleQueue[Any]) -> list[Any]:
    found = []
    while not told.empty():
        found.append(told.get())
    return found


# What a job runs over


@pytest.mark.parametrize(
    "items",
    [[1, 2], {1, 2}, {1: "a", 2: "b"}, {1: 0, 2: 0}.keys(), {0: 1, 5: 2}.values(), deque([1, 2]), bytearray(b"\1\2")],
)
def test_a_collection_is_copied_at_once(items: Any) -> None:
    found = Items(items)
    assert (found.owned, found.total, found.complete) == ([1, 2], 2, True)
    assert found.owned is not items
    if isinstance(items, list):
        items.clear()
    assert list(found.iterator) == [1, 2]


@pytest.mark.parametrize("items", [range(3), (1, 2), "ab", b"ab"])
def test_what_cannot_change_is_not_copied(items: Any) -> None:
    found = Items(items)
    assert found.owned is items
    assert (found.total, found.complete) == (len(items), True)


def test_rows_of_an_array_are_those_of_now() -> None:
    array = np.arange(4).reshape(2, 2)
    found = Items(array)
    array[:] = 9
    assert [row.tolist() for row in found.iterator] == [[0, 1], [2, 3]]
    assert (found.total, found.complete) == (2, True)


def test_an_array_in_a_file_is_read_row_by_row(tmp_path: Any) -> None:
    on_disk = np.memmap(tmp_path / "a", mode="w+", shape=(3,))
    assert (Items(on_disk).owned, Items(on_disk).total) == (None, 3)


def test_labels_and_values_of_pandas_are_copied() -> None:
    for items, expected in (
        (pd.DataFrame({"a": [1], "b": [2]}), ["a", "b"]),
        (pd.Series([1, 2]), [1, 2]),
        (pd.Index([1, 2]), [1, 2]),
    ):
        assert (Items(items).owned, Items(items).complete) == (expected, True)
    assert Items(pd.DataFrame({"a": [1]}).itertuples()).owned is None


def test_what_numpy_iterates_over_is_no_array() -> None:
    assert Items(np.ndenumerate(np.arange(3))).owned is None


def test_what_arrives_one_by_one_is_kept_as_it_was() -> None:
    source = Source(iter([[1]]), waits=True)
    started(source)
    source.ask(2)
    assert source.serve(LIMIT) is False  # there are no more
    assert source.serve(LIMIT) is False
    (taken,) = source.take()
    assert isinstance(taken.item, Prepared)
    assert taken.item is taken.prepared


def test_what_only_resembles_a_table_is_taken_as_it_comes() -> None:
    indexed = type("table", (Opaque,), {"iloc": None, "get_loc": None})
    assert Items(indexed(1)).owned is None
    assert Items(pd.Series([1, 2]).groupby([1, 2])).owned is None


def test_anything_else_is_taken_as_it_comes() -> None:
    found = Items(Opaque(1, 2, length=2))
    assert (found.owned, found.total, found.complete) == (None, 2, False)
    assert Items(Opaque(1, 2)).total is None
    assert Items(iter([1, 2])).total is None
    # A scalar of numpy is no array; what only looks like one is none either.
    fake = type("array", (Opaque,), {"ndim": 1, "copy": None})
    assert Items(fake(1)).owned is None


def test_what_a_collection_gave_before_it_raised_is_kept() -> None:
    class Breaking(list[int]):
        def __iter__(self) -> Iterator[int]:
            yield from (1, 2)
            raise LookupError("no more")

    found = Items(Breaking([1, 2, 3]))
    assert (found.owned, found.total, found.complete) == ([1, 2], 2, False)
    assert (next(found.iterator), next(found.iterator)) == (1, 2)
    with pytest.raises(LookupError, match="no more"):
        next(found.iterator)


def test_an_interrupt_while_items_are_copied_reaches_the_caller() -> None:
    class Interrupted(list[int]):
        def __iter__(self) -> Iterator[int]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Items(Interrupted([1]))


def test_what_is_not_iterable_is_refused_in_one_line() -> None:
    for wrong in (5, None, np.array(5)):
        with pytest.raises(MisuseError, match=r"^map: items must be iterable, not "):
            Items(wrong)  # type: ignore[arg-type]

    class Own:
        def __iter__(self) -> Iterator[int]:
            return iter(5)  # type: ignore[call-overload, no-any-return]

    with pytest.raises(TypeError, match="'int' object is not iterable"):  # the user's own mistake
        Items(Own())


# A source whose items are here


def test_as_many_items_are_taken_as_were_asked_for() -> None:
    source = Source(range(5))
    told = started(source)
    assert source.owned
    assert source.first() is None
    assert source.ask(2)
    assert source.asked == 2
    assert (first := source.first()) is not None
    assert first.item == 0
    assert all_of(told) == [Pulled()]  # once for both
    assert pulled(source) == [0, 1]
    assert source.asked == 0
    assert source.ask(3)
    assert all_of(told) == [Pulled()]
    assert pulled(source) == [2, 3, 4]
    assert source.ask(1)
    assert all_of(told) == [Exhausted()]
    assert not source.ask(1)
    assert source.first() is None


def test_the_end_is_told_with_the_last_item_if_more_was_asked_for() -> None:
    source = Source(range(2))
    told = started(source)
    source.ask(3)
    assert all_of(told) == [Pulled(), Exhausted()]
    assert pulled(source) == [0, 1]
    assert source.asked == 1


@pytest.mark.parametrize("items", [0, -1])
def test_nothing_is_asked_for_by_asking_for_nothing(items: int) -> None:
    source = Source(range(2))
    told = started(source)
    assert not source.ask(items)
    assert (source.asked, all_of(told)) == (0, [])


def test_after_a_stop_nothing_is_taken() -> None:
    source = Source(range(5))
    told = started(source)
    source.stop()
    assert source.last
    assert not source.ask(2)
    assert all_of(told) == []


def test_a_stop_between_two_items_ends_the_taking() -> None:
    source = Source(range(5))
    source.start(lambda _: source.stop())
    source.ask(4)
    assert pulled(source) == [0]


def test_items_are_as_they_were_when_they_were_taken() -> None:
    def growing() -> Iterator[list[int]]:
        items: list[int] = []
        for number in range(3):
            items.append(number)
            yield items

    source = Source(growing(), waits=True)
    told = started(source)
    source.ask(4)
    while source.serve(1.0):
        pass
    assert pulled(source) == [[0], [0, 1], [0, 1, 2]]
    assert all_of(told) == [Pulled(), Exhausted()]


def test_an_item_that_cannot_be_pickled_is_taken_with_the_reason() -> None:
    source = Source([1, (i for i in ()), 3])
    started(source)
    source.ask(3)
    first, second, third = source.take()
    assert (first.item, third.item) == (1, 3)
    assert isinstance(second.prepared, SerializationError)


def test_the_cache_key_of_an_item_is_of_what_was_taken() -> None:
    source = Source([5, 6], name=lambda item: Key(b"%d" % item))
    started(source)
    source.ask(2)
    assert [taken.key and taken.key.digest for taken in source.take()] == [b"5", b"6"]
    plain = Source([5])
    started(plain)
    plain.ask(1)
    assert [taken.key for taken in plain.take()] == [None]


def test_what_an_item_refers_to_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.data, "octets", lambda item: item * 100)
    source = Source([5, 6])
    started(source)
    source.ask(2)
    assert [(taken.item, taken.octets) for taken in source.take()] == [(5, 500), (6, 600)]


def test_a_new_source_has_given_and_promised_nothing() -> None:
    source = Source(range(2))
    assert (source.asked, source.last, source.first(), pulled(source)) == (0, False, None, [])
    assert source.ask(1)  # though nobody listens yet


def test_what_the_iterator_raises_is_told_and_ends_it() -> None:
    def breaking() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    source = Source(breaking(), waits=True)
    told = started(source)
    source.ask(3)
    while source.serve(1.0):
        pass
    first, last = all_of(told)
    assert first == Pulled()
    assert isinstance(last.error, LookupError)
    assert pulled(source) == [1]
    assert not source.ask(1)


# A source that the caller advances while it waits


def test_the_caller_takes_items_while_it_waits_and_no_sooner() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(5):
            taken.append(threading.get_ident())
            yield number

    source = Source(items(), waits=True)
    told = started(source)
    assert not source.owned
    assert source.ask(2) is False
    assert taken == []
    assert source.serve(LIMIT)
    assert taken == [threading.get_ident()] * 2
    assert source.serve(0.0)  # nothing is asked for
    assert len(taken) == 2
    source.stop()
    assert not source.serve(LIMIT)
    assert all_of(told) == [Pulled()]


def test_the_caller_serves_for_as_long_as_it_was_asked_to_and_remembers_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]

    def slow() -> Iterator[int]:
        for number in range(9):
            now[0] += 1.0
            yield number

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    source = Source(slow(), waits=True)
    started(source)
    source.ask(6)
    assert source.serve(2.5)
    assert pulled(source) == [0, 1, 2]  # the third begins before 2.5 s are over
    assert source.serve(2.0)
    assert pulled(source) == [3, 4]
    assert source.serve(2.0)
    assert pulled(source) == [5]


def test_another_thread_than_the_caller_s_does_not_serve() -> None:
    source = Source(iter(range(3)), waits=True)
    started(source)
    source.ask(1)
    found: list[bool] = []
    other = threading.Thread(target=lambda: found.append(source.serve(LIMIT)))
    other.start()
    other.join(LIMIT)
    assert found == [False]
    assert pulled(source) == []


def test_an_interrupt_of_the_caller_is_its_own_and_ends_the_job() -> None:
    def interrupted() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    source = Source(interrupted(), waits=True)
    told = started(source)
    source.ask(2)
    with pytest.raises(KeyboardInterrupt):
        source.serve(LIMIT)
    first, last = all_of(told)
    assert (first, type(last.error)) == (Pulled(), KeyboardInterrupt)


# A source with a thread of its own


def test_without_a_caller_that_waits_a_thread_takes_them_in_the_caller_s_context() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("caller's")
    seen: list[tuple[str, bool]] = []

    def items() -> Iterator[int]:
        for number in range(3):
            seen.append((variable.get(), threading.current_thread() is threading.main_thread()))
            yield number

    source = Source(items())
    variable.set("later")
    told = started(source)
    assert source.ask(2) is False
    assert told.get(timeout=LIMIT) == Pulled()
    source.ask(2)
    while not isinstance(told.get(timeout=LIMIT), Exhausted):
        pass
    assert pulled(source) == [0, 1, 2]
    assert seen == [("caller's", False)] * 3


def test_a_source_of_its_own_thread_ends_with_a_stop() -> None:
    source = Source(iter(range(3)))
    before = set(threading.enumerate())
    started(source)
    (thread,) = set(threading.enumerate()) - before
    assert thread.daemon
    source.stop()
    thread.join(LIMIT)
    assert not thread.is_alive()
