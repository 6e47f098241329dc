"""Turns an exception into plain data, so that the notebook can show it even if it cannot unpickle it."""

from __future__ import annotations

import base64
import contextlib
import linecache
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from types import FrameType, FunctionType, ModuleType
from typing import Any

from . import exceptions, imports
from .capture import encodable
from .cell import FILE
from .sources import shorten

FIRST, LAST = 10, 40
"""Outermost and innermost frames reported of a traceback; repetitions count once."""
DEPTH = 5
"""Exceptions reported of a `raise … from` chain, and of groups in groups."""
EXCEPTIONS = 20
"""Exceptions reported in all, including causes and members of groups."""
TEXT_LIMIT = 65_536
"""Characters of a message."""
INNER, INNER_TEXT = 10, 4_096
"""Frames and notes, and characters of the message, of a cause or a group's member."""
LINE_LIMIT = 500
"""Characters of a line of code, of a name and of a note."""
LOCALS = 40
"""Variables reported per frame."""
LOCAL_LENGTH = 200
"""Characters of a variable's repr."""

_CYCLES = (1, 2, 3)
"""Longest cycle of mutually recursive functions to fold."""
_REPETITIONS = 3
"""Repetitions shown before folding."""
_MAX_FRAMES = 20_000
_WORKER_FOLDER = __file__.rpartition(os.sep)[0]
_INTERNAL = (f"{os.sep}cloudpickle{os.sep}", f"{os.sep}asyncio{os.sep}")
LIBRARIES = ("<frozen ", sysconfig.get_path("stdlib"), *(path for path in sys.path if path))

_Entry = tuple[FrameType, int]


def report(error: BaseException, with_locals: bool = False) -> dict[str, Any]:
    """Describe `error`, optionally with the variables of the failing frame, and pack it if possible.

    Whatever fails here (any method of the user's objects may) is omitted.
    """
    plain: dict[str, Any] = {"type": _type(error), "message": _message(error, TEXT_LIMIT), "frames": [], "cause": None}
    fields: dict[str, Any] = {"error": plain, "missing": imports.failed()}
    with contextlib.suppress(BaseException):
        fields["error"] = describe(error)
    with contextlib.suppress(BaseException):
        if with_locals:
            _add_locals(error, fields["error"]["frames"])
    with contextlib.suppress(BaseException):
        packed = exceptions.pack(error)
        if len(packed) <= 2 * exceptions.LIMIT:  # with everything else, it must fit in a reply
            fields["exception"] = base64.b64encode(packed).decode()
    return fields


def describe(error: BaseException) -> dict[str, Any]:
    """Return type, message, frames, cause and members of `error`, without the worker's own frames."""
    return _Description().of(error)


class _Description:
    def __init__(self) -> None:
        self._left = EXCEPTIONS

    def of(self, error: BaseException, depth: int = 1) -> dict[str, Any]:
        self._left -= 1
        frames = _visible(error) if depth == 1 else _visible(error)[-INNER:]
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        described: dict[str, Any] = {
            "type": _type(error),
            "message": _message(error, TEXT_LIMIT if depth == 1 else INNER_TEXT),
            "frames": [_frame(*entry) for entry in frames],
            "cause": None if cause is None else self._nested(cause, depth),
        }
        if notes := exceptions.notes(error):
            described["notes"] = [encodable(note[:LINE_LIMIT]) for note in notes[:INNER]]
        if isinstance(error, BaseExceptionGroup):
            parts = (self._nested(part, depth) for part in error.exceptions)
            described["parts"] = [part for part in parts if part is not None]
        return described

    def _nested(self, error: BaseException, depth: int) -> dict[str, Any] | None:
        return self.of(error, depth + 1) if self._left > 0 and depth < DEPTH else None


def _type(error: BaseException) -> str:
    try:
        return encodable(str(type(error).__qualname__).rpartition("<locals>.")[2][:LINE_LIMIT])
    except BaseException:  # a metaclass may raise anything
        return "Exception"


def _message(error: BaseException, limit: int) -> str:
    try:
        return encodable(str(error)[:limit])
    except BaseException as failure:
        return f"(its __str__ raised {type(failure).__name__})"


def _visible(error: BaseException) -> list[tuple[FrameType, int, int, int]]:
    folded = list(_folded(_walk(error)))
    return folded if len(folded) <= FIRST + LAST else [*folded[:FIRST], *folded[-LAST:]]


def _walk(error: BaseException) -> list[_Entry]:
    return [entry for entry in traceback.walk_tb(error.__traceback__) if not _is_internal(entry[0])][-_MAX_FRAMES:]


def _folded(entries: list[_Entry]) -> Iterator[tuple[FrameType, int, int, int]]:
    """Yield frames and lines; of a recursion only a few, with the number of frames left out."""
    lines = [(frame.f_code, line) for frame, line in entries]
    place = 0
    while place < len(entries):
        span, times = max(((span, _times(lines, place, span)) for span in _CYCLES), key=lambda one: one[0] * one[1])
        if times <= _REPETITIONS:
            yield *entries[place], 0, 1
            place += 1
            continue
        for position in range(span):
            yield *entries[place + position], times - 1 if position == span - 1 else 0, span
        place += span * times


def _times(lines: list[Any], place: int, span: int) -> int:
    """Return how often the next `span` lines are repeated in a row."""
    block, times = lines[place : place + span], 1
    while len(block) == span and lines[place + times * span : place + (times + 1) * span] == block:
        times += 1
    return times


def _add_locals(error: BaseException, described: list[dict[str, Any]]) -> None:
    """Add variables to the innermost frame of user code, or else the innermost one."""
    import reprlib

    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = LOCAL_LENGTH
    frames = _visible(error)
    own = [pair for pair in zip(frames, described, strict=True) if not pair[1]["library"]]
    for (frame, *_), fields in (own or [*zip(frames, described, strict=True)])[-1:]:
        named = [(name, value) for name, value in frame.f_locals.items() if not name.startswith(("__", "."))]
        if frame.f_locals is frame.f_globals:
            # At the top level of a cell or module, functions and modules are not worth showing.
            named = [pair for pair in named if not isinstance(pair[1], FunctionType | ModuleType | type)]
        fields["locals"] = {name: encodable(short.repr(value)[:LOCAL_LENGTH]) for name, value in named[:LOCALS]}


def _is_internal(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return name == FILE or name.startswith(_WORKER_FOLDER) or any(folder in name for folder in _INTERNAL)


def _frame(frame: FrameType, line: int, repeated: int, span: int) -> dict[str, Any]:
    code = frame.f_code
    source = ""
    with contextlib.suppress(BaseException):  # a loader may raise anything
        source = linecache.getline(code.co_filename, line, frame.f_globals).strip()
    described = {
        "file": encodable(shorten(code.co_filename)),
        "line": line or code.co_firstlineno,
        "function": encodable(code.co_name[:LINE_LIMIT]),
        "source": encodable(source[:LINE_LIMIT]),
        "library": code.co_filename.startswith(LIBRARIES),
    }
    return {**described, "repeated": repeated, "span": span} if repeated else described
