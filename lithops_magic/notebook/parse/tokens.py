"""The Python tokens in a magic's line, as far as it is Python, and the start of its comment."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """A Python token and its span in the text."""

    text: str
    start: int
    end: int
    depth: int


def tokens(text: str) -> Iterator[Token]:
    """Yield the Python tokens in `text` with their bracket depth; stop where it is no longer valid Python."""
    starts = _row_starts(text)
    depth = 0
    try:
        for kind, word, start, end, _ in tokenize.generate_tokens(io.StringIO(text).readline):
            if kind in (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.ENDMARKER, tokenize.COMMENT):
                continue
            name = tokenize.tok_name[kind]
            # Since Python 3.12, an f-string is several tokens: what is inside it counts as within brackets.
            opens = word in ("(", "[", "{") or name.endswith("STRING_START")
            closes = word in (")", "]", "}") or name.endswith("STRING_END")
            depth -= closes
            yield Token(word, starts[start[0] - 1] + start[1], starts[end[0] - 1] + end[1], depth)
            depth += opens
    # An option's value need not be Python; what precedes it was yielded.
    except (tokenize.TokenError, SyntaxError):
        return


def without_comment(line: str) -> tuple[str, bool]:
    """Return a magic's line without a trailing comment and semicolon, and whether there was a semicolon."""
    start = _comment(line)
    rest = line if start is None else line[:start]
    rest = rest.rstrip()
    silent = rest.endswith(";")
    return (rest.removesuffix(";").rstrip(), True) if silent else (line if start is None else rest, False)


def _comment(line: str) -> int | None:
    """Return where a comment begins: at a `#` that Python treats as one and that is not in an option's value."""
    starts = _row_starts(line)
    depth = 0
    try:
        for kind, word, start, _, _ in tokenize.generate_tokens(io.StringIO(line).readline):
            position = starts[start[0] - 1] + start[1]
            if kind == tokenize.COMMENT and depth == 0 and (not position or line[position - 1] in " \t\n)]}"):
                return position
            depth += (word in ("(", "[", "{")) - (word in (")", "]", "}"))
    except (tokenize.TokenError, SyntaxError):
        pass
    return None


def _row_starts(text: str) -> list[int]:
    starts = [0]
    for row in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))
    return starts
