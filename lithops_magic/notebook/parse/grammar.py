"""Parses a magic's line into one Python target and expression, and the options around them."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable
from typing import NamedTuple

from lithops_magic.notebook.parse.line_options import FLAG, FLAGS, Names, refuse_unknown_flag, split_options, trim
from lithops_magic.notebook.parse.option import Option, by_flag
from lithops_magic.notebook.parse.options import MAP, Options
from lithops_magic.notebook.parse.tokens import tokens
from lithops_magic.notebook.parse.usage_error import UsageError

# Splitting before one of these would break a binary operator: `lambda x: x + 1 items`.
_BINARY = re.compile(r"[-+*]")


class MapLine(NamedTuple):
    """A parsed `lambda_map` line. `target` None: the function form; `function` set: the line form."""

    items: str
    target: str | None
    function: str | None
    options: Options


def cell_line(line: str, names: Names = None) -> MapLine:
    """Parse the line of `%%lambda_map`: `TARGET in ITEMS [options]` or `ITEMS [options]`.

    `for TARGET in ITEMS:` is accepted, too. Option values may name variables: `--memory {size}`.
    """
    source, options = split_options(line, names=names)
    if options.help:
        return MapLine(source, None, None, options)
    if not source:
        raise UsageError("nothing to map over; write `%%lambda_map x in items` or see `%%lambda_map?`")
    found = _split_target(_without_for(source))
    if found is not None:
        return MapLine(found[1], found[0], None, options)
    _check(source)
    return MapLine(source, None, None, options)


def magic_line(line: str, names: Names = None, declared: Iterable[Option] = MAP, name: str = "%lambda_map") -> MapLine:
    """Parse the line of `%lambda_map` or a similar magic: `FUNCTION ITEMS [options]`."""
    source, options = split_options(line, declared, names)
    # `--help` and `--save` need neither a function nor items.
    if options.help or (not source and options.save):
        return MapLine(source, None, None, options)
    # The first place at which both sides are expressions ends the function: the shortest one.
    for token in tokens(source):
        left, right = source[: token.start].rstrip(), source[token.start :]
        apart = left and left != source[: token.start]
        if apart and token.depth == 0 and not _BINARY.match(right) and _parses(left) and _parses(right):
            # `f items --memroy 3` is valid Python up to the 3: a subtraction.
            refuse_unknown_flag(left, by_flag(declared))
            return MapLine(right, None, left, options)
    refuse_unknown_flag(source, by_flag(declared))
    if _split_target(source):
        raise UsageError(f"`{source}` needs a cell below it; write `%%lambda_map {source}` as the cell's first line")
    example = f"{name} thumbnail images{' -o thumbs' * (declared is MAP)}"
    raise UsageError(f"write `{name} FUNCTION ITEMS [options]`, for example `{example}`")


def _without_for(source: str) -> str:
    """Return the head of a `for` loop without `for` and colon."""
    head = source if source.endswith(":") else f"{source}:"
    if re.match(r"for\b", source) and _parses(f"{head} pass", "exec"):
        return trim(head[3:-1])
    # `x in items:` is a loop head, too; no slice or lambda ends like that.
    return trim(source[:-1]) if source.endswith(":") and _parses(f"for {head} pass", "exec") else source


def _split_target(source: str) -> tuple[str, str] | None:
    previous = ""
    for token in tokens(source):
        # The first `in` outside brackets that is no `not in` is the loop's, as in Python's own grammar: a target cannot
        # contain one.
        if token.depth == 0 and token.text == "in" and previous != "not":
            target, items = trim(source[: token.start]), trim(source[token.end :])
            if _parses(f"for {target} in (): pass", "exec"):
                _check(items)
                return target, items
            return None
        previous = token.text
    return None


def _check(source: str) -> None:
    try:
        ast.parse(source, mode="eval")
    except SyntaxError as error:
        problem = error.msg
    else:
        return
    flag = FLAG.match(source)
    if flag is not None and flag.group() in FLAGS:
        raise UsageError(f"nothing follows `in`, only the option {flag.group()}")
    refuse_unknown_flag(source)
    raise UsageError(f"`{source}` is not a Python expression: {problem}" if source else "nothing follows `in`")


def _parses(source: str, mode: str = "eval") -> bool:
    with warnings.catch_warnings():
        # Half an expression may look odd (`1 is x`); Python warns when the whole one runs.
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            ast.parse(source, mode=mode)
        except SyntaxError:
            return False
    return True
