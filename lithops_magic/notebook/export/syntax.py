"""Recognizes notebook-only syntax in a cell's source."""

from __future__ import annotations

import ast
import inspect
from typing import NamedTuple

from lithops_magic.notebook.parse.usage_error import UsageError


class Magic(NamedTuple):
    """A line magic or a shell command."""

    name: str
    line: str
    text: str
    """As written in the notebook."""


def find_magic(node: ast.Call) -> Magic | None:
    """Recognize a call by which IPython has replaced its own syntax."""
    match node:
        case ast.Call(
            ast.Attribute(ast.Call(ast.Name("get_ipython"), [], []), "run_line_magic"),
            [ast.Constant(str(name)), ast.Constant(str(line))],
        ):
            return Magic(name, line, f"%{name} {line}".rstrip())
        case ast.Call(
            ast.Attribute(ast.Call(ast.Name("get_ipython"), [], []), "system" | "getoutput"), [ast.Constant(str(line))]
        ):
            return Magic("system", line, f"!{line}")
    return None


def parse(source: str, *, empty: bool = False) -> ast.Module:
    """Parse a cell; raise UsageError if it is not Python, or if it has no statement although it may not be `empty`."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        problem = f"line {error.lineno}: {error.msg}"
    else:
        if tree.body or empty:
            return tree
        problem = "it has only comments"
    raise UsageError(problem)


def names(source: str) -> set[str]:
    """Return the names used in `source`."""
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def awaits(tree: ast.Module) -> bool:
    """Whether a cell awaits outside functions, which only works in notebooks."""
    code = compile(tree, "", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return bool(code.co_flags & inspect.CO_COROUTINE)
