from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lithops_magic.notebook.parse.grammar import cell_line, magic_line
from lithops_magic.notebook.parse.options import Options
from lithops_magic.notebook.parse.usage_error import UsageError

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
            ("--retry-memory 1.5x", "retry_memory", 1.5),
            ("--max-cost $2.50", "max_cost", 2.5),
            ("--env 'A=--out b' --env B=x=y", "env", (("A", "--out b"), ("B", "x=y"))),
            ('--env C="d e"', "env", (("C", "d e"),)),
            ("--dry-run", "dry_run", True),
        ]
    ),
    max_size=4,
    unique_by=lambda option: option[1],
)


def _trees(inner: st.SearchStrategy[ast.expr]) -> st.SearchStrategy[ast.expr]:
    """Every kind of expression that may stand on a line, around others."""
    arguments = ast.arguments([], [ast.arg("a")], None, [], [], None, [])
    comprehension = st.builds(lambda one, two: ast.comprehension(_name("n", ast.Store()), one, [two], 0), inner, inner)
    return st.one_of(
        st.builds(ast.BinOp, inner, st.sampled_from([ast.Sub(), ast.Mult(), ast.MatMult(), ast.Pow()]), inner),
        st.builds(ast.UnaryOp, st.sampled_from([ast.USub(), ast.Not(), ast.Invert()]), inner),
        st.builds(ast.BoolOp, st.sampled_from([ast.And(), ast.Or()]), st.lists(inner, min_size=2, max_size=3)),
        st.builds(
            lambda one, op, two: ast.Compare(one, [op], [two]),
            inner,
            st.sampled_from([ast.In(), ast.NotIn(), ast.Is(), ast.IsNot(), ast.Lt()]),
            inner,
        ),
        st.builds(ast.IfExp, inner, inner, inner),
        st.builds(lambda body: ast.Lambda(arguments, body), inner),
        st.builds(lambda items: ast.List(items, ast.Load()), st.lists(inner, max_size=3)),
        st.builds(lambda items: ast.Tuple(items, ast.Load()), st.lists(inner, max_size=3)),
        st.builds(lambda items: ast.Set(items), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda key, value: ast.Dict([key, None], [value, key]), inner, inner),
        st.builds(lambda body, one: ast.ListComp(body, [one]), inner, comprehension),
        st.builds(lambda body, one: ast.GeneratorExp(body, [one]), inner, comprehension),
        st.builds(lambda key, value, one: ast.DictComp(key, value, [one]), inner, inner, comprehension),
        st.builds(lambda f, x, y: ast.Call(f, [x, ast.Starred(y)], [ast.keyword("o", x)]), inner, inner, inner),
        st.builds(lambda value: ast.Attribute(value, "memory", ast.Load()), inner),
        st.builds(lambda value, low: ast.Subscript(value, ast.Slice(low, None, low), ast.Load()), inner, inner),
        st.builds(lambda value: ast.JoinedStr([ast.Constant("{ in "), ast.FormattedValue(value, -1)]), LOADED),
        st.builds(lambda value: ast.NamedExpr(_name("w", ast.Store()), value), inner),
    )


def _name(name: str, context: ast.expr_context) -> ast.Name:
    return ast.Name(name, context)


LOADED = NAMES.map(lambda name: _name(name, ast.Load()))
LEAF_TREES = st.one_of(
    LOADED,
    st.one_of(
        st.text(max_size=8), STRINGS, st.binary(max_size=4), st.integers(), st.sampled_from([None, True, ..., 1.5, 2j])
    ).map(ast.Constant),
)
TREES = st.recursive(LEAF_TREES, _trees, max_leaves=8)
REST = ast.Starred(_name("rest", ast.Store()))
TARGET_TREES = st.recursive(
    st.one_of(
        NAMES.map(lambda name: _name(name, ast.Store())),
        st.builds(lambda value: ast.Attribute(value, "out", ast.Store()), LOADED),
        st.builds(lambda key: ast.Subscript(_name("d", ast.Load()), key, ast.Store()), LEAF_TREES),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda items: ast.Tuple(items, ast.Store())),
        st.lists(inner, max_size=2).map(lambda items: ast.List([*items, REST], ast.Store())),
    ),
    max_leaves=4,
)


def expected(options: list[tuple[str, str, object]]) -> Options:
    fields = {field: value for _, field, value in options}
    if "env" in fields:
        fields["env"] = tuple(pair for _, field, pairs in options if field == "env" for pair in pairs)  # type: ignore[attr-defined]
    return Options(**fields)


def parses(source: str) -> bool:
    try:
        ast.parse(source, mode="eval")
    except SyntaxError:
        return False
    return True


def same(one: str, other: str) -> bool:
    return ast.dump(ast.parse(one, mode="eval")) == ast.dump(ast.parse(other, mode="eval"))


@settings(deadline=None)
@given(target=TARGETS, items=EXPRESSIONS, before=OPTIONS, after=OPTIONS, gap=st.sampled_from([" ", "  ", " \\\n "]))
def test_any_expression_and_target_round_trip_between_any_options(
    target: Any, items: str, before: Any, after: Any, gap: str
) -> None:
    words = [*(text for text, _, _ in before), f"{target} in {items}", *(text for text, _, _ in after)]
    parsed = cell_line(gap.join(words))
    assert parsed.target == target
    assert same(parsed.items, items)
    assert parsed.options == expected([*before, *after])


@settings(deadline=None)
@given(items=EXPRESSIONS, options=OPTIONS)
def test_any_expression_round_trips_in_the_line_form(items: str, options: Any) -> None:
    parsed = magic_line(" ".join(["obj.method", f"({items})", *(text for text, _, _ in options)]))
    assert parsed.function == "obj.method"
    assert same(parsed.items, items)
    assert parsed.options == expected(options)


@settings(deadline=None)
@given(tree=TREES, target=TARGET_TREES, options=OPTIONS, first=st.booleans(), multiline=st.booleans())
def test_whatever_python_unparses_round_trips(
    tree: Any, target: Any, options: Any, first: bool, multiline: bool
) -> None:
    expression = ast.unparse(ast.fix_missing_locations(ast.Expression(tree)))
    if multiline:
        # Continued after each comma, as one writes a long line; a comma may also be inside a string.
        continued = expression.replace(", ", ", \\\n  ")
        assume(parses(continued))
        expression = continued
    pattern = ast.unparse(ast.fix_missing_locations(target))
    words = " ".join(text for text, _, _ in options)
    parsed = cell_line(f"{words} {pattern} in {expression}" if first else f"{pattern} in {expression} {words}")
    assert same(parsed.items, expression)
    assert parsed.target == pattern
    assert parsed.options == expected(options)


@pytest.mark.parametrize(
    ("line", "target", "items"),
    [
        ("x in (a in b)", "x", "(a in b)"),
        ("x in a --b", "x", "a --b"),
        ("x in a -o", "x", None),
        ("x in f(a - o, -o)", "x", "f(a - o, -o)"),
        ("x in a # -o b", "x", "a"),
        ("images", None, "images"),
        ("a not in b", None, "a not in b"),
        ("images if x in y else z", None, "images if x in y else z"),
        ("x in 1, 2, 3", "x", "1, 2, 3"),
        ("x in lambda: 3", "x", "lambda: 3"),
    ],
)
def test_what_is_python_and_what_is_an_option(line: str, target: Any, items: str) -> None:
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
def test_the_line_form_splits_where_both_sides_are_python(line: str, function: str, items: str) -> None:
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
        (f"x in a --chunksize {'9' * 400}", "--chunksize must be a whole number of at least 1"),
        ("x in a --errors drop", "--errors must be raise or keep, not `drop`"),
        ("x in a -o 3a", "-o must be a variable name, not `3a`"),
        ("x in a -o class", "-o must be a variable name"),
        ("x in a --out --quiet", "--out needs a value"),
        ("x in a --quiet=1", "--quiet is a switch"),
        ("x in a --env PATH", "--env must be NAME=VALUE, not `PATH`"),
        ("x in a --env 1A=b", "--env must be NAME=VALUE"),
        ("x in a --tmp 100", "--tmp must be a whole number from 512 to 10,240 MB, not `100`"),
        ("x in a --retry-memory 1x", "--retry-memory must be a factor above 1, such as 2x, not `1x`"),
        ("x in a --retry-memory nan", "--retry-memory must be a factor above 1"),
        ("x in a --max-cost 0", "--max-cost must be an amount of US dollars above 0, not `0`"),
        ("x in a --max-cost free", "--max-cost must be an amount of US dollars above 0, not `free`"),
        ("x in a --reduce f(x)", "--reduce must be the name of a function"),
        ("x in a --quiet b", "options go before or after the expression"),
        ("x in a --detach yes -o r", "not inside it: `x in a` … `yes`; --detach takes no value"),
        ("x in a --cache 3y", "--cache must be"),
        ("x in a --cache -1 -o r", "--cache must be"),
        ("x in [1", "never closed"),
        ("x in", "nothing follows `in`"),
        ("", "nothing to map over"),
    ],
)
def test_wrong_lines_are_told_in_one_line(line: str, message: str) -> None:
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
        ("abs [1, 2] --memroy 3", "unknown option --memroy"),
    ],
)
def test_wrong_line_forms_are_told_in_one_line(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        magic_line(line)
