"""Takes out of Python source what only its readers need, and leaves every statement on its line."""

from __future__ import annotations

import ast
import io
import tokenize


def stripped(source: bytes) -> bytes:
    """Return `source` without its comments and docstrings."""
    text = source.decode()
    lines = text.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
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
    return "\n".join(lines).encode()


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
