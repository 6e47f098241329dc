"""Finds a name that a cell certainly looks up without finding it, to report that before deploying anything."""

from __future__ import annotations

import ast
import builtins
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_MAY_DEFINE = {"exec", "eval", "globals", "locals", "vars", "setattr", "get_ipython", "run_line_magic"}
"""Calls that make the set of defined names unknown."""


def undefined(body: Iterable[ast.stmt], target: str | None, names: Mapping[str, Any]) -> ast.Name | None:
    """Return the first name that every task would fail to find; None if that is not certain.

    Considers only code that always runs: no branches, loop bodies or functions.

    Parameters
    ----------
    target
        What the items are assigned to.
    names
        The notebook's variables.
    """
    bound = set() if target is None else set(_stored([ast.parse(f"for {target} in (): pass")]))
    for statement in body:
        # Better to deploy for nothing than to refuse a cell that works.
        if isinstance(statement, ast.Delete | ast.Global) or _may_define(statement):
            return None
        bound.update(node.target.id for node in ast.walk(statement) if isinstance(node, ast.NamedExpr))
        for name in _read(statement):
            if name.id not in bound and not _is_defined(name.id, names):
                return name
        bound.update(_stored([statement]))
    return None


def _is_defined(name: str, names: Mapping[str, Any]) -> bool:
    if name in names or hasattr(builtins, name) or name.startswith("__"):
        return True
    # A notebook function may define the name.
    functions = (value for value in names.values() if isinstance(value, types.FunctionType))
    return any(name in function.__code__.co_names for function in functions)


def _may_define(statement: ast.stmt) -> bool:
    for node in ast.walk(statement):
        if isinstance(node, ast.alias) and node.name == "*":
            return True
        if isinstance(node, ast.Call) and _called(node.func) in _MAY_DEFINE:
            return True
    return False


def _called(function: ast.expr) -> str:
    return str(getattr(function, "attr", None) or getattr(function, "id", ""))


def _read(statement: ast.stmt) -> Iterator[ast.Name]:
    """Yield the names that a statement always reads, up to code that may not be reached."""
    match statement:
        case ast.Expr(value) | ast.Assign(value=value) | ast.AugAssign(value=value):
            yield from _names(value)
            if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
                yield statement.target
        case ast.AnnAssign(value=ast.expr() as value) | ast.For(iter=value):
            yield from _names(value)
        case ast.If(test) | ast.While(test):
            yield from _names(test)
        case ast.With(items=[first, *_]):
            yield from _names(first.context_expr)


def _names(node: ast.AST) -> Iterator[ast.Name]:
    match node:
        case ast.Name(ctx=ast.Load()):
            yield node
        case ast.Lambda() | ast.NamedExpr():
            return
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from _names(node.generators[0].iter)
        case ast.IfExp(test):
            yield from _names(test)
        case ast.BoolOp(values=[first, *_]):
            yield from _names(first)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _names(child)


def _stored(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield all names bound anywhere within, including branches and inner functions."""
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                yield name
            case ast.alias(name, asname):
                yield asname or name.partition(".")[0]
            case ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name):
                yield name
            case ast.MatchMapping(rest=str() as name) | ast.ExceptHandler(name=str() as name):
                yield name
