"""Strips from Python code what only human readers need."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from types import CodeType

_LINE = 13
"""Kind of entry in a code object's location table: a line without columns (CPython, `Objects/locations.md`)."""
TYPES = frozenset({"__future__", "collections.abc", "types", "typing"})
"""Modules that are imported mostly for annotations and whose import has no side effects."""
_LEVEL = 4
"""Spaces per indentation level in the sources."""
_MAX_UNITS = 8
"""Maximum number of instructions that one entry covers."""


def stripped(source: bytes) -> bytes:
    """Return `source` without comments, docstrings, annotations (so nothing may use them) and the imports for those."""
    lines = source.split(b"\n")
    outline = _Outline(ast.parse(source), lines)
    for row, column in _comments(lines, outline.strings):
        lines[row - 1] = lines[row - 1][:column].rstrip()
    # From the end, so that earlier columns still hold.
    for row, start, end in sorted(outline.annotations, reverse=True):
        lines[row - 1] = lines[row - 1][:start] + lines[row - 1][end:]
    for row in outline.needless():
        # Emptied, not removed: line numbers in tracebacks of the worker stay those of the sources.
        lines[row - 1] = b""
    for text, alone in outline.texts:
        end = text.end_lineno or text.lineno
        lines[text.lineno - 1 : end] = [b""] * (end - text.lineno + 1)
        if alone:
            lines[text.lineno - 1] = b" " * text.col_offset + b"..."
    inside = {row for string in outline.strings for row in _inside(string, lines)}
    return b"\n".join(line if row in inside else _indented_less(line) for row, line in enumerate(lines, 1))


class _Outline:
    """What `stripped` needs to know about a module, found in one walk because a kernel's first job waits for it."""

    def __init__(self, tree: ast.Module, lines: list[bytes]) -> None:
        self.annotations: list[tuple[int, int, int]] = []
        """Line, start and end of single-line annotations, including the token before them."""
        self.texts: list[tuple[ast.stmt, bool]] = []
        """Docstrings, and whether each is the entire body."""
        self.strings: list[ast.expr] = []
        self._used: set[str] = set()
        self._imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module in TYPES]
        self._lines = lines
        waiting: list[ast.AST] = [tree]
        while waiting:
            node = waiting.pop()
            gone = self._look(node)
            for field in node._fields:
                if field == gone or field == "ctx":
                    continue
                value = getattr(node, field)
                if isinstance(value, list):
                    waiting += [part for part in value if isinstance(part, ast.AST)]
                elif isinstance(value, ast.AST):
                    waiting.append(value)

    def needless(self) -> Iterator[int]:
        """Yield the lines that import names only for removed annotations."""
        for node in self._imports:
            if node.lineno == node.end_lineno and self._used.isdisjoint(
                alias.asname or alias.name for alias in node.names
            ):
                yield node.lineno

    def _look(self, node: ast.AST) -> str:
        """Record a node; return the field that holds a removable annotation."""
        match node:
            case ast.Name():
                self._used.add(node.id)
            case ast.Constant(value=str() | bytes()) | ast.JoinedStr():
                self.strings.append(node)
            case ast.arg(annotation=ast.expr() as kind):
                return self._annotated(node.lineno, node.col_offset + len(node.arg.encode()), kind, "annotation")
            case ast.AnnAssign(target=target, value=ast.expr(), annotation=kind):
                return self._annotated(target.end_lineno or 0, target.end_col_offset or 0, kind, "annotation")
            case ast.AnnAssign():
                self._used.add("annotations")
            case ast.FunctionDef(returns=ast.expr() as kind):
                start = self._lines[kind.lineno - 1].rindex(b" -> ", 0, kind.col_offset)
                self._note_texts(node.body)
                return self._annotated(kind.lineno, start, kind, "returns")
            case ast.Module() | ast.ClassDef() | ast.FunctionDef():
                self._note_texts(node.body)
        return ""

    def _annotated(self, row: int, start: int, kind: ast.expr, field: str) -> str:
        if row != kind.end_lineno:
            self._used.add("annotations")
            return ""
        self.annotations.append((row, start, kind.end_col_offset or 0))
        return field

    def _note_texts(self, body: list[ast.stmt]) -> None:
        self.texts += [(statement, len(body) == 1) for statement in body if _is_text(statement)]


def _comments(lines: list[bytes], strings: list[ast.expr]) -> Iterator[tuple[int, int]]:
    """Yield line and column of each comment: the first number sign on a line that is not inside a string."""
    for row, line in enumerate(lines, 1):
        column = line.find(b"#")
        while column >= 0:
            if not any(_covers(string, (row, column)) for string in strings):
                yield row, column
                break
            column = line.find(b"#", column + 1)


def _inside(string: ast.expr, lines: list[bytes]) -> Iterable[int]:
    """Return the lines that begin inside a string, other than those between parts of a concatenation."""
    first, last = string.lineno, string.end_lineno or 0
    joined = any(line.endswith(b"\\") or b'"""' in line or b"'''" in line for line in lines[first - 1 : last])
    return range(first + 1, last + 1) if joined else ()


def _covers(string: ast.expr, place: tuple[int, int]) -> bool:
    return (string.lineno, string.col_offset) <= place < (string.end_lineno or 0, string.end_col_offset or 0)


def _indented_less(line: bytes) -> bytes:
    """Return the line with one space per indentation level."""
    text = line.lstrip(b" ")
    return b" " * ((len(line) - len(text)) // _LEVEL) + text


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def without_lines(code: CodeType) -> CodeType:
    """Return code whose functions know only their first line: less than a third of the size."""
    table = bytearray()
    for left in range(len(code.co_code) // 2, 0, -_MAX_UNITS):
        # A zero offset from the previous line, which is the first.
        table += bytes([0x80 | _LINE << 3 | min(left, _MAX_UNITS) - 1, 0])
    parts = (without_lines(part) if isinstance(part, CodeType) else part for part in code.co_consts)
    return code.replace(co_linetable=bytes(table), co_consts=tuple(parts))
