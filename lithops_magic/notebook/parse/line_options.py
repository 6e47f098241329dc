"""Separates the options on a magic's line from the Python around them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from lithops_magic.notebook.parse.expand import expand
from lithops_magic.notebook.parse.option import Option, by_flag, meant
from lithops_magic.notebook.parse.options import MAP, Options, collect
from lithops_magic.notebook.parse.tokens import tokens, without_comment
from lithops_magic.notebook.parse.usage_error import UsageError

FLAG = re.compile(r"--?[A-Za-z][\w-]*")
_GLUED = re.compile(r"-[A-Za-z](?=[A-Za-z_]\w*(?:\s|;|\Z))")
_BLANK = re.compile(r"(?:\s|\\\n)*")
_EDGES = re.compile(r"\A(?:\s|\\\n)+|(?:\s|\\\n)+\Z")
_WORD = re.compile(r"(?:[\w.-]+=)?(?:\"[^\"\n]*\"|'[^'\n]*')|\S+")
_QUOTED = re.compile(r"([\w.-]+=)?([\"'])(.*)\2")
FLAGS = by_flag(MAP)
_WANT_OPERAND = {
    *("in", "not", "and", "or", "if", "else", "is", "await", "+", "-", "*", "/", "//", "%", "@", "**", "<<", ">>"),
    *("&", "|", "^", "~", "<", ">", "<=", ">=", "==", "!=", ":=", "="),
}
"""What an option cannot follow: in `x in -o`, the minus is Python's."""

Names = Mapping[str, Any] | None
"""The notebook's variables, which option values may name; None if there is no notebook."""


def split_options(line: str, declared: Iterable[Option] = MAP, names: Names = None) -> tuple[str, Options]:
    """Split a line into its Python text and its options, wherever the options are."""
    line, _ = without_comment(line)
    flags = by_flag(declared)
    pieces: list[str] = []
    after: list[str] = []
    read: list[tuple[Option, object]] = []
    position, used = 0, ""
    while True:
        found = _next_flag(line, position, flags, names or {})
        # What is between options is Python; there may be only one piece of it.
        piece = trim(line[position : found.start() if found else len(line)])
        if piece:
            pieces.append(piece)
            after.append(used)
        if found is None:
            break
        option, used = flags[found.group()], found.group()
        value, position = _read_value(option, found.group(), line, found.end(), flags, names)
        read.append((option, value))
        while option.several and (word := _next_word(line, position, flags, files_only=not pieces)):
            value, position = _read_value(option, found.group(), line, word.start(), flags, names)
            read.append((option, value))
    if len(pieces) > 1:
        for piece in pieces:
            if FLAG.match(piece):
                refuse_unknown_flag(piece, flags)
        raise UsageError(_misplaced(pieces, after[1], flags[after[1]]))
    return (pieces[0] if pieces else ""), collect(read)


def _misplaced(pieces: list[str], flag: str, option: Option) -> str:
    """Explain Python on both sides of an option, which may be what was meant as that option's value."""
    what = f"options go before or after the expression, not inside it: `{pieces[0]}` … `{pieces[1]}`"
    if " " in pieces[1]:
        return what
    if option.bare is not None:
        return f"{flag} must be {option.legal}, not `{pieces[1]}`"
    return f"{what}; {flag} takes no value" if option.metavar is None else what


def options_only(line: str, declared: Iterable[Option], name: str, names: Names = None) -> Options:
    """Parse the line of the magic `name`, which takes only options."""
    declared = tuple(declared)
    rest, options = split_options(line, declared, names)
    if rest and not options.help:
        refuse_unknown_flag(rest, by_flag(declared))
        raise UsageError(f"`{name}` takes only options, not `{rest}`; see `{name} --help`")
    return options


def refuse_unknown_flag(source: str, flags: Iterable[str] = FLAGS, name: str | None = None) -> None:
    """Raise UsageError if `source` seems to contain a mistyped flag: any, or one that explains a missing `name`."""
    flag = _unknown_flag(source, name)
    if flag is not None:
        raise UsageError(f"unknown option {flag}{meant(flag, flags)}")


def _unknown_flag(source: str, name: str | None) -> str | None:
    for token in tokens(source):
        flag = FLAG.match(source, token.start)
        if token.depth or token.text != "-" or flag is None or (token.start and not source[token.start - 1].isspace()):
            continue
        words = flag.group().strip("-").split("-")
        if name is None or name in words:
            return flag.group()
    return None


def _next_flag(line: str, position: int, flags: Container[str], names: Container[str]) -> re.Match[str] | None:
    offset = _BLANK.match(line, position).end()  # type: ignore[union-attr]
    previous = ""
    for token in tokens(line[offset:]):
        start, before, previous = offset + token.start, previous, token.text
        if token.depth or token.text != "-" or (start and not line[start - 1].isspace()):
            continue
        # `lambda: -x` begins with a minus, too.
        if before in _WANT_OPERAND or (before == ":" and "lambda" in line[offset:start]):
            continue
        flag = FLAG.match(line, start)
        if (
            flag is not None
            and flag.group() in flags
            and line[flag.end() : flag.end() + 1] in ("", "=", " ", "\t", "\n", "\\")
        ):
            return flag
        # `-osquares`, unless it is the difference of two variables.
        glued = _GLUED.match(line, start)
        # `a -osquares` is a difference if the notebook has a variable `osquares`.
        if glued is not None and glued.group() in flags and flag is not None and flag.group()[1:] not in names:
            return glued
    return None


def _next_word(line: str, position: int, flags: Container[str], *, files_only: bool) -> re.Match[str] | None:
    """Return the word that may be another value of an option that takes several."""
    word = _WORD.match(line, _BLANK.match(line, position).end())  # type: ignore[union-attr]
    if word is None or word.group().partition("=")[0] in flags or FLAG.fullmatch(word.group()):
        return None
    # `--files data.csv x in items` ends its files at `x`, even if there is a file of that name.
    is_file = Path(word.group().strip("'\"")).exists() and not re.match(r"\s+in\b", line[word.end() :])
    return word if is_file or not files_only else None


def _read_value(
    option: Option, flag: str, line: str, position: int, flags: Container[str], names: Names
) -> tuple[object, int]:
    assigned = line[position : position + 1] == "="
    if option.metavar is None:
        if assigned:
            raise UsageError(f"{flag} is a switch and takes no value")
        return True, position
    start = position + 1 if assigned else _BLANK.match(line, position).end()  # type: ignore[union-attr]
    word = _WORD.match(line, start)
    if option.bare is not None and not assigned and not _legal(option, word):
        return option.bare, position
    if word is None or (not assigned and word.group() in flags):
        raise UsageError(f"{flag} needs a value: {option.legal}")
    quoted = _QUOTED.fullmatch(word.group())
    text = (quoted[1] or "") + quoted[3] if quoted else word.group()
    if names is not None:
        # Only the values of options: the rest of the line is Python, in which braces mean something else.
        text = expand(text, {**names, option.keeps: f"{{{option.keeps}}}"} if option.keeps else names)
    try:
        return option.parse(text), word.end()
    except ValueError:
        raise UsageError(f"{flag} must be {option.legal}, not `{text}`") from None


def _legal(option: Option, word: re.Match[str] | None) -> bool:
    """Whether a word is a valid value for an option whose value is optional."""
    try:
        option.parse(word.group() if word else "")
    except ValueError:
        return False
    return True


def trim(text: str) -> str:
    return _EDGES.sub("", text)
