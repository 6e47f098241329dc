"""Finds names that a cell both assigns and may read from the notebook before assigning them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

_EVALUATED = {"eval", "evaluate", "exec", "execute", "query", "sql"}
"""Functions and methods that look up names in strings: Python's own, and those of pandas, NumExpr and DuckDB."""
_WORD = re.compile(r"[^\W\d]\w*")


def notebook_names(statements: Iterable[ast.stmt]) -> set[str]:
    """Return the names that are local to a function made of `statements` but may be read while still unset.

    In a cell, such a name starts with the notebook's value (`total = total + x`); in a function, it would raise
    UnboundLocalError. If the order of execution is unclear (branches, loops, inner functions), the name is included to
    be safe.
    """
    reads = _Reads()
    reads.block(statements)
    return (reads.early & reads.assigned) - reads.declared


def read_names(statements: Iterable[ast.stmt]) -> set[str]:
    """Return the names that a cell made of `statements` may read before assigning them."""
    reads = _Reads()
    reads.block(statements)
    return reads.early


def assigned_names(statements: Iterable[ast.stmt]) -> set[str]:
    """Return the names that a cell made of `statements` assigns."""
    reads = _Reads()
    reads.block(statements)
    return reads.assigned


class _Reads(ast.NodeVisitor):
    def __init__(self) -> None:
        self.early: set[str] = set()
        self.assigned: set[str] = set()
        self.declared: set[str] = set()
        self._bound: set[str] = set()
        self._inner = 0

    def block(self, statements: Iterable[ast.AST]) -> None:
        for statement in statements:
            self.visit(statement)

    def _branches(self, *branches: Iterable[ast.AST]) -> None:
        """Visit alternatives that each start from here; only names bound by all of them are bound afterwards."""
        before, after = self._bound, []
        for branch in branches:
            self._bound = set(before)
            self.block(branch)
            after.append(self._bound)
        # A name that only one branch binds may still be read unset afterwards.
        self._bound = set.intersection(*after)

    def _bind(self, name: str) -> None:
        if not self._inner:
            self.assigned.add(name)
            self._bound.add(name)

    def _read(self, name: str) -> None:
        if name not in self._bound:
            self.early.add(name)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._bind(node.id)
            return
        self._read(node.id)
        if isinstance(node.ctx, ast.Del) and not self._inner:
            self.assigned.add(node.id)
            self._bound.discard(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        self.block(node.targets)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        # In a cell and in a class, Python evaluates the annotation, too, even if there is no value.
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self.visit(node.target)
        elif isinstance(node.target, ast.Name) and not self._inner:
            self.assigned.add(node.target.id)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._read(node.target.id)
        self.visit(node.value)
        self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        # Even inside a comprehension, `:=` assigns to the cell's own name, but possibly never.
        self.assigned.add(node.target.id)
        self._bind(node.target.id)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
        for argument in node.args if called in _EVALUATED else ():
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                for word in _WORD.findall(argument.value):
                    self._read(word)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._branches((node.target, *node.body), node.orelse)

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._branches(node.body, node.orelse)

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._branches(node.body, node.orelse)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        self._branches((node.body,), (node.orelse,))

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        self._branches(node.values[1:], ())

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        self._branches(*((case,) for case in node.cases), ())

    def visit_Try(self, node: ast.Try) -> None:
        self._branches((*node.body, *node.orelse), *((handler,) for handler in node.handlers))
        self.block(node.finalbody)

    visit_TryStar = visit_Try  # type: ignore[assignment]

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        if node.name:
            self._bind(node.name)
        self.block(node.body)
        # Python deletes the exception's name at the end of its handler.
        self._bound.discard(node.name or "")

    def visit_alias(self, node: ast.alias) -> None:
        self._bind(node.asname or node.name.partition(".")[0])

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self.generic_visit(node)
        if node.name:
            self._bind(node.name)

    visit_MatchStar = visit_MatchAs  # type: ignore[assignment]

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        if node.rest:
            self._bind(node.rest)

    def visit_Global(self, node: ast.Global) -> None:
        if not self._inner:
            self.declared.update(node.names)

    def _visit_inner(self, node: ast.AST) -> None:
        name = getattr(node, "name", None)
        if isinstance(name, str):
            self._bind(name)
        self._inner += 1
        self.generic_visit(node)
        self._inner -= 1

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_ClassDef = _visit_inner
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_inner
