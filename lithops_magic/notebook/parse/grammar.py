"""From the text of a magic line to one Python target and expression, and the options around them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lithops_magic.notebook.parse.expand import expand
from lithops_magic.notebook.parse.options import MAP, Option, Options, by_flag, collect, meant
from lithops_magic.notebook.parse.usage_error import UsageError

_FLAG = re.compile(r"--?[A-Za-z][\w-]*")
_GLUED = re.compile(r"-[A-Za-z](?=[A-Za-z_]\w*(?:\s|;|\Z))")
_BLANK = re.compile(r"(?:\s|\\\n)*")
_EDGES = re.compile(r"\A(?:\s|\\\n)+|(?:\s|\\\n)+\Z")
_WORD = re.compile(r"(?:[\w.-]+=)?(?:\"[^\"\n]*\"|'[^'\n]*')|\S+")
_QUOTED = re.compile(r"([\w.-]+=)?([\"'])(.*)\2")
_FLAGS = by_flag(MAP)
# A split before one of these would cut a binary operator in two: `lambda x: x + 1 items`.
_BINARY = re.compile(r"[-+*]")
_WANT_OPERAND = {
    *("in", "not", "and", "or", "if", "else", "is", "await", "+", "-", "*", "/", "//", "%", "@", "**", "<<", ">>"),
    *("&", "|", "^", "~", "<", ">", "<=", ">=", "==", "!=", ":=", "="),
}
"""What an option cannot stand behind: in `x in -o`, Python's minus is meant."""


Names = Mapping[str, Any] | None
"""The notebook's variables, which the values of options may name; None where there is no notebook."""


class MapLine(NamedTuple):
    """What a `lambda_map` line asks for. `target` None: the function form; `function` set: the line form."""

    items: str
    target: str | None
    function: str | None
    options: Options


@dataclass(frozen=True)
class Token:
    """A Python token and the span it covers in its text."""

    text: str
    start: int
    end: int
    depth: int


def cell_line(line: str, names: Names = None) -> MapLine:
    """Parse the line of `%%lambda_map`: `TARGET in ITEMS [options]` or `ITEMS [options]`.

    `for TARGET in ITEMS:` is understood as well. The values of options may name variables: `--memory {size}`.
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


def magic_line(line: str, names: Names = None, known: Iterable[Option] = MAP, name: str = "%lambda_map") -> MapLine:
    """Parse the line of `%lambda_map` or the like: `FUNCTION ITEMS [options]`."""
    source, options = split_options(line, known, names)
    if options.help or (not source and options.save):
        return MapLine(source, None, None, options)
    for token in tokens(source):
        left, right = source[: token.start].rstrip(), source[token.start :]
        apart = left and left != source[: token.start]
        if apart and token.depth == 0 and not _BINARY.match(right) and _parses(left) and _parses(right):
            # `f items --memroy 3` is Python too, as far as the 3: a difference.
            refuse_unknown_flag(left, by_flag(known))
            return MapLine(right, None, left, options)
    refuse_unknown_flag(source, by_flag(known))
    if _split_target(source):
        raise UsageError(f"`{source}` needs a cell below it; write `%%lambda_map {source}` as the cell's first line")
    raise UsageError(
        f"write `{name} FUNCTION ITEMS [options]`, for example `{name} thumbnail images{' -o thumbs' * (known is MAP)}`"
    )


def tokens(text: str) -> Iterator[Token]:
    """Yield the Python tokens of `text` with their bracket depth; stop where it is not valid Python."""
    starts = _row_starts(text)
    depth = 0
    try:
        for kind, word, start, end, _ in tokenize.generate_tokens(io.StringIO(text).readline):
            if kind in (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.ENDMARKER, tokenize.COMMENT):
                continue
            name = tokenize.tok_name[kind]
            opens = word in ("(", "[", "{") or name.endswith("STRING_START")
            closes = word in (")", "]", "}") or name.endswith("STRING_END")
            depth -= closes
            yield Token(word, starts[start[0] - 1] + start[1], starts[end[0] - 1] + end[1], depth)
            depth += opens
    except (tokenize.TokenError, SyntaxError):
        return


def bare(line: str) -> tuple[str, bool]:
    """Return a magic's line without a comment and a semicolon at its end, and whether there was a semicolon."""
    start = _comment(line)
    rest = line if start is None else line[:start]
    rest = rest.rstrip()
    silent = rest.endswith(";")
    return (rest.removesuffix(";").rstrip(), True) if silent else (line if start is None else rest, False)


def _comment(line: str) -> int | None:
    """Return where a comment begins: at a `#` that Python takes for one and that is no part of an option's value."""
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


def split_options(line: str, known: Iterable[Option] = MAP, names: Names = None) -> tuple[str, Options]:
    """Split a line into its Python text and its options, wherever the options stand."""
    line, _ = bare(line)
    flags = by_flag(known)
    pieces: list[str] = []
    read: list[tuple[Option, object]] = []
    position = 0
    while True:
        found = _next_flag(line, position, flags, names or {})
        piece = _trim(line[position : found.start() if found else len(line)])
        if piece:
            pieces.append(piece)
        if found is None:
            break
        option = flags[found.group()]
        value, position = _read_value(option, found.group(), line, found.end(), flags, names)
        read.append((option, value))
        while option.several and (word := _next_word(line, position, flags, files_only=not pieces)):
            value, position = _read_value(option, found.group(), line, word.start(), flags, names)
            read.append((option, value))
    if len(pieces) > 1:
        for piece in pieces:
            if _FLAG.match(piece):
                refuse_unknown_flag(piece, flags)
        raise UsageError(f"options go before or after the expression, not inside it: `{pieces[0]}` … `{pieces[1]}`")
    return (pieces[0] if pieces else ""), collect(read)


def options_only(line: str, known: Iterable[Option], name: str, names: Names = None) -> Options:
    """Parse the line of the magic `name`, which takes nothing but options."""
    known = tuple(known)
    rest, options = split_options(line, known, names)
    if rest and not options.help:
        refuse_unknown_flag(rest, by_flag(known))
        raise UsageError(f"`{name}` takes only options, not `{rest}`; see `{name} --help`")
    return options


def refuse_unknown_flag(source: str, flags: Iterable[str] = _FLAGS, name: str | None = None) -> None:
    """Raise UsageError if `source` has what looks like a mistyped flag: any, or the one a missing `name` comes from."""
    flag = _unknown_flag(source, name)
    if flag is not None:
        raise UsageError(f"unknown option {flag}{meant(flag, flags)}")


def _unknown_flag(source: str, name: str | None) -> str | None:
    for token in tokens(source):
        flag = _FLAG.match(source, token.start)
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
        if token.depth or token.text not in ("-", "->") or (start and not line[start - 1].isspace()):
            continue
        if before in _WANT_OPERAND or (before == ":" and "lambda" in line[offset:start]):
            continue
        flag = _FLAG.match(line, start)
        if (
            flag is not None
            and flag.group() in flags
            and line[flag.end() : flag.end() + 1] in ("", "=", " ", "\t", "\n", "\\")
        ):
            return flag
        # `-osquares`, unless that is the difference of two variables.
        glued = _GLUED.match(line, start)
        if glued is not None and glued.group() in flags and flag is not None and flag.group()[1:] not in names:
            return glued
    return None


def _next_word(line: str, position: int, flags: Container[str], *, files_only: bool) -> re.Match[str] | None:
    """Return the word that may be one more value of an option that takes several."""
    word = _WORD.match(line, _BLANK.match(line, position).end())  # type: ignore[union-attr]
    if word is None or word.group().partition("=")[0] in flags or _FLAG.fullmatch(word.group()):
        return None
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
        text = expand(text, names)
    try:
        return option.parse(text), word.end()
    except ValueError:
        raise UsageError(f"{flag} must be {option.legal}, not `{text}`") from None


def _legal(option: Option, word: re.Match[str] | None) -> bool:
    """Whether a word is a value of an option that may have none."""
    try:
        option.parse(word.group() if word else "")
    except ValueError:
        return False
    return True


def _without_for(source: str) -> str:
    """Return the head of a `for` loop without what only a loop has."""
    head = source if source.endswith(":") else f"{source}:"
    if re.match(r"for\b", source) and _parses(f"{head} pass", "exec"):
        return _trim(head[3:-1])
    # `x in items:` is one as well; a slice or a lambda does not end like that.
    return _trim(source[:-1]) if source.endswith(":") and _parses(f"for {head} pass", "exec") else source


def _split_target(source: str) -> tuple[str, str] | None:
    previous = ""
    for token in tokens(source):
        if token.depth == 0 and token.text == "in" and previous != "not":
            target, items = _trim(source[: token.start]), _trim(source[token.end :])
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
    flag = _FLAG.match(source)
    if flag is not None and flag.group() in _FLAGS:
        raise UsageError(f"nothing follows `in`, only the option {flag.group()}")
    refuse_unknown_flag(source)
    raise UsageError(f"`{source}` is not a Python expression: {problem}" if source else "nothing follows `in`")


def _trim(text: str) -> str:
    return _EDGES.sub("", text)


def _parses(source: str, mode: str = "eval") -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            ast.parse(source, mode=mode)
        except SyntaxError:
            return False
    return True
