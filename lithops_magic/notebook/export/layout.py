"""Operations on Python source as text that preserve its meaning: multi-line strings are left unchanged."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable

INDENT = "    "


def indent(source: str) -> str:
    """Indent a block, except lines that begin inside a string."""
    inside = _inside_strings(source)
    lines = source.splitlines()
    return "\n".join(
        INDENT + line if line.strip() and number not in inside else line for number, line in enumerate(lines, 1)
    )


def replace(source: str, changes: Iterable[tuple[ast.expr | ast.stmt, str]]) -> str:
    """Replace nodes parsed from `source` with other text."""
    # `ast` counts columns in bytes of UTF-8.
    rows = [line.encode() for line in source.splitlines(keepends=True)]
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row))
    text = b"".join(rows)
    # From the end, so that the positions of earlier nodes remain valid.
    for node, new in sorted(changes, key=lambda change: (change[0].lineno, change[0].col_offset), reverse=True):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        text = text[:start] + new.encode() + text[starts[node.end_lineno - 1] + node.end_col_offset :]
    return text.decode()


def comment(text: str) -> str:
    """Turn text into comment lines."""
    return "\n".join(f"# {line}".rstrip() for line in text.splitlines())


def _inside_strings(source: str) -> set[int]:
    """Return the lines that begin inside a string."""
    inside: set[int] = set()
    opened: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        name = tokenize.tok_name[token.type]
        if name == "STRING":
            inside.update(range(token.start[0] + 1, token.end[0] + 1))
        elif name.endswith("STRING_START"):  # f-strings and, since Python 3.14, t-strings consist of several tokens
            opened.append(token.start[0])
        elif name.endswith("STRING_END"):
            inside.update(range(opened.pop() + 1, token.end[0] + 1))
    return inside
