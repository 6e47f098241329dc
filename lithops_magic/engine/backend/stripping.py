"""Takes out of Python code what only its readers need."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from types import CodeType

_LINE = 13
"""Kind of an entry in a code object's table of positions: a line without columns (CPython, `Objects/locations.md`)."""
TYPES = frozenset({"__future__", "collections.abc", "types", "typing"})
"""Modules of which most names are for annotations only, and whose import does nothing else."""
_LEVEL = 4
"""Blanks."""
_LONGEST = 8
"""Instructions that an entry may be about."""


def stripped(source: bytes) -> bytes:
    """Return `source` without comments, docstrings and annotations, which nothing must ask for, and their imports."""
    text = source.decode()
    lines = _without_annotations(text).split("\n")
    for line in list(_needless(ast.parse("\n".join(lines)))):
        lines[line - 1] = ""
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            lines[line - 1] = lines[line - 1][:column].rstrip()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", ())
        body = body if isinstance(body, list) else []
        for statement in body:
            if _is_text(statement):
                end = statement.end_lineno or statement.lineno
                lines[statement.lineno - 1 : end] = [""] * (end - statement.lineno + 1)
                if len(body) == 1:
                    lines[statement.lineno - 1] = " " * statement.col_offset + "..."
    return "\n".join(_indented_less(lines)).encode()


def _indented_less(lines: list[str]) -> Iterator[str]:
    """Yield lines with one blank for each level; what is in a text stays."""
    tokens = tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline)
    inside = {row for token in tokens for row in range(token.start[0] + 1, token.end[0] + 1)}
    for row, line in enumerate(lines, 1):
        text = line.lstrip(" ")
        yield line if row in inside else " " * ((len(line) - len(text)) // _LEVEL) + text


def _without_annotations(text: str) -> str:
    lines = [line.encode() for line in text.split("\n")]
    for line, start, end in sorted(_annotations(ast.parse(text), lines), reverse=True):
        lines[line - 1] = lines[line - 1][:start] + lines[line - 1][end:]
    return b"\n".join(lines).decode()


def _annotations(tree: ast.AST, lines: list[bytes]) -> Iterator[tuple[int, int, int]]:
    """Yield line, start and end of the annotations that are on one line, with what joins them to the rest."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(lineno=line, end_col_offset=end, annotation=ast.expr(end_lineno=last)) if line == last:
                yield line, node.col_offset + len(node.arg.encode()), end or 0
            case ast.AnnAssign(target=ast.expr(end_lineno=line, end_col_offset=start), value=ast.expr()):
                if line == node.annotation.end_lineno:
                    yield line or 0, start or 0, node.annotation.end_col_offset or 0
            case ast.FunctionDef(returns=ast.expr(lineno=line, end_lineno=last, end_col_offset=end)) if line == last:
                start = lines[line - 1].rindex(b" -> ", 0, node.returns.col_offset if node.returns else 0)
                yield line, start, end or 0


def _needless(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that import names for annotations which are gone."""
    nodes = list(ast.walk(tree))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    if any(getattr(node, "annotation", None) or getattr(node, "returns", None) for node in nodes):
        used.add("annotations")
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or node.module not in TYPES or node.lineno != node.end_lineno:
            continue
        if used.isdisjoint(alias.asname or alias.name for alias in node.names):
            yield node.lineno


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def without_lines(code: CodeType) -> CodeType:
    """Return compiled code of which each function knows its first line only: less than a third of its size."""
    table = bytearray()
    for left in range(len(code.co_code) // 2, 0, -_LONGEST):
        # No further from the line before, which is the first.
        table += bytes([0x80 | _LINE << 3 | min(left, _LONGEST) - 1, 0])
    parts = (without_lines(part) if isinstance(part, CodeType) else part for part in code.co_consts)
    return code.replace(co_linetable=bytes(table), co_consts=tuple(parts))
