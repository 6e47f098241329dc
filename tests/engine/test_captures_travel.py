"""What a function takes along travels by its content, and means what one round trip of pickle makes of it."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops_magic.config import Settings
from lithops_magic.engine import MapOptions
from lithops_magic.engine.durable.recipe import Recipe
from lithops_magic.engine.wire import container as containers
from lithops_magic.engine.wire.container import Container
from lithops_magic.engine.wire.function import Function
from lithops_magic.worker import packing
from thorough import WITH_FIXTURES

SMALL = 2_000
"""Bytes of a piece in these tests."""


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "SMALL_PIECE", 200)


def of(values: tuple[Any, ...], line: int = 0) -> Callable[[int], Any]:
    """A function that takes values along, and the line that is edited in it."""
    one, *others = values

    def before(x: int) -> Any:
        return [one, *others]

    def after(x: int) -> Any:
        edited = [*others, x]
        return [one, *edited[:-1]]

    return after if line else before


def there(packed: Container) -> Any:
    """What a sandbox makes of a container, with what it has of its objects."""
    stored = dict(packed.pieces)

    def piece(name: str, sizes: packing.Sizes) -> list[bytearray]:
        assert hashlib.sha256(stored[name]).hexdigest() == name
        return [*map(bytearray, packing.split(memoryview(stored[name]), sizes))]

    return packing.unpickle(*packing.parts(packed.rest, piece))


class Holder:
    """Has something that others may have too."""

    def __init__(self, held: Any, size: int) -> None:
        self.held = held
        self.text = "ä" * size


leaves = st.one_of(
    st.integers(0, 200_000).map(lambda size: random.Random(size).randbytes(size)),
    st.integers(0, 30_000).map(lambda size: bytearray(size)),
    st.integers(0, 6_000).map(lambda size: np.random.default_rng(size).random(size)),
    st.integers(0, 6_000).map(lambda size: np.zeros((size, 2), order="F")),
    st.integers(0, 2_000).map(lambda size: pd.DataFrame({"a": range(size), "b": [str(n) for n in range(size)]})),
    st.integers(0, 2_000).map(lambda size: {str(n): n for n in range(size)}),
    st.integers(0, 20_000).map(lambda size: [float(n) for n in range(size)]),
    st.integers(0, 90_000).map(lambda size: "é" * size),
)


@st.composite
def captured(draw: st.DrawFn) -> tuple[Any, ...]:
    """Values of which some are others, look into them, or hold them."""
    values = draw(st.lists(leaves, min_size=1, max_size=4))
    for _ in range(draw(st.integers(0, 4))):
        value = draw(st.sampled_from(values))
        match draw(st.integers(0, 4)):
            case 0:
                values.append(value)
            case 1:
                values.append([value, value])
            case 2:
                values.append(Holder(value, draw(st.integers(0, 5_000))))
            case 3 if isinstance(value, np.ndarray):
                values.append(value[1::2])
            case 4 if isinstance(value, list):
                value.append(value)
    return tuple(values)


def shape(value: Any, seen: dict[int, int]) -> Any:
    """Everything that can be told of a value, with which of its objects are one and the same."""
    if isinstance(value, bytes | bytearray | str | np.ndarray | list | dict | Holder | pd.DataFrame):
        if id(value) in seen:
            return "again", seen[id(value)]
        seen[id(value)] = len(seen)
    match value:
        case np.ndarray():
            state = value.flags.writeable, value.flags.owndata, value.flags.aligned
            return value.dtype.str, value.shape, value.strides, state, value.tolist()
        case pd.DataFrame():
            writable = [value[name].to_numpy().flags.writeable for name in value]
            return value.to_dict("list"), [*map(str, value.dtypes)], writable
        case list():
            return [shape(each, seen) for each in value]
        case dict():
            return [(key, shape(each, seen)) for key, each in value.items()]
        case Holder():
            return "holder", shape(value.held, seen), value.text
        case bytearray():
            return "bytearray", bytes(value)
    return value


@settings(max_examples=50, deadline=None, suppress_health_check=WITH_FIXTURES)
@given(values=captured(), piece=st.sampled_from([SMALL, 50_000, 1_000_000]))
def test_what_arrives_is_what_one_pickle_makes_of_it(values: tuple[Any, ...], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(containers, "PIECE", piece)
        patch.setattr("lithops_magic.engine.wire.pickled_function.PIECE", piece)
        packed = Function.pickle(of(values)).container
    expected = shape([*pickle.loads(pickle.dumps(values, 5))], {})
    whole = packed.whole
    for function in (there(packed), packing.loads(whole), there(Container.parse(whole))):
        assert shape(function(0), {}) == expected


@pytest.fixture(params=["array", "bytes", "text", "frame", "strings", "dict", "forest", "nested", "holder"])
def large(request: pytest.FixtureRequest) -> Any:
    chance = np.random.default_rng(1)
    kinds: dict[str, Callable[[], Any]] = {
        "array": lambda: chance.random(1_000_000),
        "bytes": lambda: chance.bytes(5_000_000),
        "text": lambda: "".join(map(chr, chance.integers(32, 50_000, 2_000_000))),
        "frame": lambda: pd.DataFrame(chance.random((200_000, 5)), columns=[*"abcde"]),
        "strings": lambda: pd.DataFrame({"s": [chance.bytes(20).hex() for _ in range(60_000)]}, dtype=object),
        "dict": lambda: {chance.bytes(20).hex(): n for n in range(60_000)},
        "forest": lambda: [chance.random(10_000) for _ in range(100)],
        "nested": lambda: {"a": [chance.random(300_000), {n: chance.bytes(50) for n in range(30_000)}]},
        "holder": lambda: Holder(chance.random(600_000), 2_000_000),
    }
    return kinds[request.param]()


def moved(packed: Container, known: set[str]) -> int:
    """Bytes that are not known by their names."""
    return len(packed.rest) + sum(len(piece) for name, piece in packed.pieces if name not in known)


@pytest.mark.no_cover
def test_an_edited_line_moves_less_than_a_hundredth(large: Any) -> None:
    small = [1, 2, 3]
    first = Function.pickle(of((large, small))).container
    again = Function.pickle(of((large, small), line=1)).container
    assert len(again) > 1_000_000
    assert moved(again, {name for name, _ in first.pieces}) < len(again) / 100


def mutations() -> Iterator[tuple[str, Any, Callable[[Any], None]]]:
    array, frame = np.random.default_rng(0).random(400_000), pd.DataFrame(np.random.default_rng(1).random((100_000, 4)))
    yield "array", array, lambda value: value.__setitem__(399_999, 0.5)
    yield "view", array[::-1][::-1], lambda _: array.__setitem__(0, 0.25)
    yield "frame", frame, lambda value: value.isetitem(2, value[2] + 1)
    yield "bytearray", bytearray(2_000_000), lambda value: value.__setitem__(1_000_000, 1)
    yield "dict", {n: str(n) for n in range(300_000)}, lambda value: value.__setitem__(7, "8")
    yield "attribute", Holder(array, 1_500_000), lambda value: setattr(value, "held", None)


@pytest.mark.no_cover
@pytest.mark.parametrize(("value", "change"), [each[1:] for each in mutations()], ids=[each[0] for each in mutations()])
def test_what_was_changed_in_place_is_noticed(value: Any, change: Callable[[Any], None]) -> None:
    function = of((value,))
    before = Function.pickle(function).container
    change(value)
    after = Function.pickle(function).container
    assert after.sha256 != before.sha256
    expected = shape(pickle.loads(pickle.dumps([value])), {})
    assert shape(there(after)(0), {}) == expected != shape(there(before)(0), {})


def test_what_is_made_from_the_function_itself_travels_too() -> None:
    class Made:
        def __init__(self, function: Any) -> None:
            self.function, self.texts = function, [str(n) for n in range(300_000)]

        def __reduce__(self) -> Any:
            return Made, (self.function,)

    def task(x: int) -> Any:
        return made.function is not None, len(made.texts), x

    made = Made(task)
    assert there(Function.pickle(task).container)(1) == (True, 300_000, 1)


def test_a_damaged_container_has_another_name() -> None:
    packed = Function.pickle(of((np.random.default_rng(0).random(400_000),))).container
    whole = packed.whole
    assert Container.parse(whole).sha256 == packed.sha256
    for damaged in (whole[:-1], whole[:9], whole[:40], whole + b"?", whole[:-1] + bytes([whole[-1] ^ 1]), b"M", b""):
        assert Container.parse(damaged).sha256 != packed.sha256


@pytest.mark.parametrize("large", [True, False])
def test_what_a_journal_keeps_of_it_is_the_same_function(large: bool) -> None:
    value = np.random.default_rng(0).random(400_000 if large else 4_000)
    function = Function.pickle(of((value,)))
    plain = json.loads(json.dumps(Recipe.of(Settings(local=True), MapOptions(), function, bytes(32)).to_plain()))
    whole = b"".join(function.container.chunks)
    read = Recipe.from_plain(plain, whole, function.need.sources).function.container
    assert (read.sha256, dict(read.pieces)) == (function.container.sha256, dict(function.container.pieces))
    assert bool(dict(read.pieces)) == large
    damaged = whole[:-1] + bytes([whole[-1] ^ 1])
    assert not Recipe.from_plain(plain, damaged, function.need.sources).function.container


def test_a_function_that_an_earlier_version_has_written_down_is_read() -> None:
    data = np.random.default_rng(0).random(400_000)
    written = packing.dumps(of((data,)))
    assert written.startswith(packing.MAGIC)
    read = Container.parse(written)
    assert (read.sha256, [*read.pieces]) == (hashlib.sha256(written).hexdigest(), [])
    assert shape(there(read)(0), {}) == shape(pickle.loads(pickle.dumps([data], 5)), {})
