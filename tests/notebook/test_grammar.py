from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.error import UsageError

from lithops_magic.notebook.grammar import cell_line, magic_line
from lithops_magic.notebook.options import Options

NAMES = st.sampled_from(["a", "bb", "items", "o", "memory", "in_", "é"])
STRINGS = st.sampled_from(["", "x in y", "-o z", "--memory 3", "{a}$b", "it's", 'say "no"', "#", "\\", "\n"])
LEAVES = st.one_of(NAMES, STRINGS.map(repr), st.integers(0, 99).map(str), st.just("f'{a} in {bb!r:>{o}} --quiet'"))


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "in", "not in", "and", "if a else", "<", "--"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        st.tuples(inner, st.sampled_from(["+", "-", "**", "or", "==", "|", " - -"]), inner).map(" ".join),
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.tuples(inner, inner).map(lambda parts: f"f({parts[0]} -o, k={parts[1]})"),
        st.tuples(inner, inner).map(lambda parts: f"{{{parts[0]}: {parts[1]}}}"),
        inner.map(lambda part: f"(lambda x: {part})"),
        inner.map(lambda part: f"[x for x in ({part})]"),
        inner.map(lambda part: f"({part})[{part}:]"),
        inner.map(lambda part: f"({part} \\\n  )"),
    )


EXPRESSIONS = st.recursive(LEAVES, _grow, max_leaves=6)
TARGETS = st.sampled_from(["x", "x, y", "(a, b), *c", "[p, q]", "d['k in l']", "o.memory", "x,"])
OPTIONS = st.lists(
    st.sampled_from(
        [
            ("-o res", "out", "res"),
            ("--out=res", "out", "res"),
            ("--memory 512", "memory", 512),
            ("--memory=10240", "memory", 10240),
            ("--errors keep", "errors", "keep"),
            ("--profile 'my --quiet one'", "profile", "my --quiet one"),
            ("--quiet", "quiet", True),
            ("--retries 0", "retries", 0),
        ]
    ),
    max_size=4,
    unique_by=lambda option: option[1],
)


def same(one: str, other: str) -> bool:
    return ast.dump(ast.parse(one, mode="eval")) == ast.dump(ast.parse(other, mode="eval"))


@settings(deadline=None)
@given(target=TARGETS, items=EXPRESSIONS, before=OPTIONS, after=OPTIONS, gap=st.sampled_from([" ", "  ", " \\\n "]))
def test_any_expression_and_target_round_trip_between_any_options(target, items, before, after, gap):
    words = [*(text for text, _, _ in before), f"{target} in {items}", *(text for text, _, _ in after)]
    parsed = cell_line(gap.join(words))
    assert parsed.target == target
    assert same(parsed.items, items)
    assert parsed.options == Options(**{field: value for _, field, value in [*before, *after]})


@settings(deadline=None)
@given(items=EXPRESSIONS, options=OPTIONS)
def test_any_expression_round_trips_in_the_line_form(items, options):
    parsed = magic_line(" ".join(["obj.method", f"({items})", *(text for text, _, _ in options)]))
    assert parsed.function == "obj.method"
    assert same(parsed.items, items)
    assert parsed.options == Options(**{field: value for _, field, value in options})


@pytest.mark.parametrize(
    ("line", "target", "items"),
    [
        ("x in (a in b)", "x", "(a in b)"),
        ("x in a --b", "x", "a --b"),
        ("x in a -o", "x", None),
        ("x in f(a - o, -o)", "x", "f(a - o, -o)"),
        ("x in a # -o b", "x", "a # -o b"),
        ("images", None, "images"),
        ("a not in b", None, "a not in b"),
        ("images if x in y else z", None, "images if x in y else z"),
        ("x in 1, 2, 3", "x", "1, 2, 3"),
        ("x in lambda: 3", "x", "lambda: 3"),
    ],
)
def test_what_is_python_and_what_is_an_option(line, target, items):
    if items is None:
        with pytest.raises(UsageError, match="-o needs a value"):
            cell_line(line)
    else:
        assert cell_line(line)[:3] == (items, target, None)


@pytest.mark.parametrize(
    ("line", "function", "items"),
    [
        ("f items", "f", "items"),
        ("f [1, 2];", "f", "[1, 2]"),
        ("f (1, 2)", "f", "(1, 2)"),
        ("f [1] + [2]", "f", "[1] + [2]"),
        ("lambda x: x + 1 [1, 2]", "lambda x: x + 1", "[1, 2]"),
        ("partial(f, a = 1) range(3)", "partial(f, a = 1)", "range(3)"),
    ],
)
def test_the_line_form_splits_where_both_sides_are_python(line, function, items):
    assert magic_line(line)[:3] == (items, None, function)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x in a --memroy 1024", r"unknown option --memroy; did you mean --memory\?"),
        ("x in a -o b --memroy 1024", r"unknown option --memroy; did you mean --memory\?"),
        ("x in a --memory 5", "--memory must be a whole number from 128 to 10,240 MB, not `5`"),
        ("x in a --memory big", "not `big`"),
        ("x in a --timeout=901", "--timeout must be a whole number from 1 to 900 seconds"),
        ("x in a --chunksize 0", "--chunksize must be a whole number of at least 1"),
        ("x in a --errors drop", "--errors must be raise or keep, not `drop`"),
        ("x in a -o 3a", "-o must be a variable name, not `3a`"),
        ("x in a -o class", "-o must be a variable name"),
        ("x in a --out --quiet", "--out needs a value"),
        ("x in a --quiet=1", "--quiet is a switch"),
        ("x in a --quiet b", "options go before or after the expression"),
        ("x in [1", "never closed"),
        ("x in", "nothing stands after `in`"),
        ("", "nothing to map over"),
    ],
)
def test_wrong_lines_are_told_in_one_line(line, message):
    with pytest.raises(UsageError, match=message) as caught:
        cell_line(line)
    assert type(caught.value) is UsageError
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("f", "write `%lambda_map FUNCTION ITEMS"),
        ("x in items", "as the cell's first line"),
        ("f items --memroy 3", "unknown option --memroy"),
    ],
)
def test_wrong_line_forms_are_told_in_one_line(line, message):
    with pytest.raises(UsageError, match=message):
        magic_line(line)
