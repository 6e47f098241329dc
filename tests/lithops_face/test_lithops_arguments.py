"""How data becomes arguments: as Lithops documents it, with plain Python's own binding as the oracle."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops_magic.errors import MisuseError
from lithops_magic.lithops.arguments import Binding, elements


def call(function: Any, element: Any, extra: Any = None, number: int = 0) -> Any:
    args, kwargs = Binding(function, extra).bind(element, number)
    return function(*args, **kwargs)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ([1, 2], [1, 2]),
        (range(3), [0, 1, 2]),
        ((1, 2, 3), [1, 2, 3]),
        ((x for x in "ab"), ["a", "b"]),
        ("text", ["text"]),
        ({"x": 1}, [{"x": 1}]),
        (5, [5]),
        ([], []),
    ],
)
def test_what_is_mapped_over(data: Any, found: list[Any]) -> None:
    assert elements(data) == found


def test_a_set_is_iterated_over() -> None:
    assert sorted(elements({3, 1})) == [1, 3]


@given(
    st.one_of(st.tuples(st.integers()), st.tuples(st.integers(), st.integers()), st.integers(), st.text(), st.none())
)
def test_tuples_are_arguments_and_anything_else_is_one(element: Any) -> None:
    def function(a: Any, b: Any = "default") -> Any:
        return a, b

    assert call(function, element) == (function(*element) if isinstance(element, tuple) else function(element))


def test_dictionaries_are_keywords_and_defaults_are_defaults() -> None:
    assert call(lambda a, b=2: (a, b), {"a": 1}) == (1, 2)
    assert call(lambda **given: given, {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("element", "extra", "result"),
    [
        (1, (2,), (1, 2)),
        ((1,), (2,), (1, 2)),
        ({"a": 1}, {"b": 2}, (1, 2)),
        (1, {"b": 2}, (1, 2)),
    ],
)
def test_extra_args(element: Any, extra: Any, result: Any) -> None:
    before = repr(element)
    assert call(lambda a, b: (a, b), element, extra) == result
    assert repr(element) == before


def test_id_is_the_number_of_the_call_unless_it_is_given() -> None:
    assert call(lambda x, id: (x, id), "x", number=7) == ("x", 7)
    assert call(lambda id: id, 5, number=7) == 5
    assert call(lambda x, id: (x, id), {"x": 1, "id": 2}, number=7) == (1, 2)


@pytest.mark.parametrize("element", [(1, 2, 3), {"c": 1}, {}, ()])
def test_what_does_not_fit_is_one_line_before_anything_is_sent(element: Any) -> None:
    def add(a: int, b: int = 0) -> int:
        return a + b

    with pytest.raises(TypeError):
        inspect.signature(add).bind(*element) if isinstance(element, tuple) else inspect.signature(add).bind(**element)
    with pytest.raises(MisuseError, match=r"^add\(a: 'int'.*cannot be called with element 3") as raised:
        Binding(add).bind(element, 3)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["ibm_cos", "rabbitmq"])
def test_parameters_that_are_not_filled_in_here_say_what_to_do(name: str) -> None:
    function = eval(f"lambda x, {name}: x")
    with pytest.raises(MisuseError, match=f"the parameter '{name}' would be"):
        Binding(function).bind(1, 0)
    assert Binding(function).bind({"x": 1, name: 2}, 0) == ((), {"x": 1, name: 2})
    assert Binding(eval(f"lambda x, {name}=None: x")).bind(1, 0) == ((1,), {})


def test_functions_without_a_signature_are_called_as_they_are() -> None:
    assert call(print, ("a",)) is None
    assert call(max, ((1, 2),)) == 2
    assert call(dict, {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("function", "element", "result"),
    [
        (lambda id, x: (id, x), 5, (3, 5)),
        (lambda id, x: (id, x), (7, 5), (7, 5)),
        (lambda id, x: (id, x), {"x": 5}, (3, 5)),
        (lambda id, x: (id, x), {"x": 5, "id": 7}, (7, 5)),
        (lambda x, id=None: (id, x), 5, (3, 5)),
        (lambda x, storage, id: (x, storage, id), 5, (5, "storage", 3)),
        (lambda storage, *rest, id: (storage, rest, id), (1, 2), ("storage", (1, 2), 3)),
        (lambda id, /, x: (id, x), 5, (3, 5)),
        (lambda id, **rest: (id, rest), {"y": 1}, (3, {"y": 1})),
        (lambda id: id, 5, 5),
        (lambda x, storage=None: storage, 5, "storage"),
        (lambda storage: storage, {"storage": "own"}, "own"),
        (lambda obj, y, id: (obj, y, id), (4,), ("part", 4, 3)),
        (lambda y, *, obj: (obj, y), {"y": 4}, ("part", 4)),
    ],
)
def test_parameters_that_are_filled_in_stand_anywhere(function: Any, element: Any, result: Any) -> None:
    args, kwargs = Binding(function, None, lambda: "storage").bind(element, 3, "part")
    assert function(*args, **kwargs) == result


def test_what_has_an_obj_in_name_only_takes_no_objects() -> None:
    assert not Binding(len).takes_objects
    assert not Binding(lambda x: x).takes_objects
    assert Binding(lambda x, obj: x).takes_objects


@pytest.mark.parametrize("extra", [5, 0, "text", "", {1, 2}, frozenset(), iter([1]), b"b"])
def test_extra_arguments_that_have_no_order_or_are_no_arguments_are_refused(extra: Any) -> None:
    with pytest.raises(MisuseError, match="extra_args must be a tuple of arguments or a dictionary of keywords"):
        Binding(max, extra)


@pytest.mark.parametrize("extra", [None, (), [], {}, (5,), [5], {"key": abs}])
def test_extra_arguments_are_a_tuple_a_list_or_a_dictionary(extra: Any) -> None:
    assert call(max, (-7, 3), extra) == (5 if extra in ((5,), [5]) else -7 if extra == {"key": abs} else 3)
