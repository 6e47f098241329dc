"""Turns an exception into plain data, so that the notebook can show it even when it cannot unpickle it."""

from __future__ import annotations

import base64
import contextlib
import linecache
import os
import sys
import sysconfig
import traceback
from types import FrameType, FunctionType, ModuleType
from typing import Any

from . import packing
from .capture import encodable
from .cell import FILE
from .sources import shorten

FRAMES = 50
"""Innermost frames reported of a traceback: a RecursionError has a thousand."""
CAUSES = 5
"""Exceptions reported of a `raise … from` chain."""
TEXT_LIMIT = 65_536
"""Characters of a message, bytes of a pickled exception."""
LOCALS = 40
"""Variables reported of a frame."""
LOCAL_LENGTH = 200
"""Characters of one."""

_HERE = __file__.rpartition(os.sep)[0]
_MACHINERY = (f"{os.sep}cloudpickle{os.sep}", f"{os.sep}asyncio{os.sep}")
_LIBRARIES = (sysconfig.get_path("stdlib"), *(path for path in sys.path if path))


def report(error: BaseException, with_locals: bool = False) -> dict[str, Any]:
    """Describe `error`, with the variables of the frame that failed if that is asked, and pickle it if possible."""
    fields: dict[str, Any] = {"error": describe(error)}
    with contextlib.suppress(Exception):  # of the user's own __repr__
        if with_locals:
            _add_locals(error, fields["error"]["frames"])
    with contextlib.suppress(Exception):
        data = packing.dumps(error)
        if len(data) <= TEXT_LIMIT:
            fields["exception"] = base64.b64encode(data).decode()
    return fields


def describe(error: BaseException, depth: int = 1) -> dict[str, Any]:
    """Type, message, frames and cause of `error`, without the frames of the machinery around the user's code."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    frames = [_frame(*entry) for entry in _walk(error)[-FRAMES:]]
    return {
        "type": type(error).__qualname__,
        "message": encodable(_message(error)[:TEXT_LIMIT]),
        "frames": frames,
        "cause": describe(cause, depth + 1) if cause is not None and depth < CAUSES else None,
    }


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:
        return f"(its __str__ raised {type(failure).__name__})"


def _walk(error: BaseException) -> list[tuple[FrameType, int]]:
    return [entry for entry in traceback.walk_tb(error.__traceback__) if not _machinery(entry[0])]


def _add_locals(error: BaseException, described: list[dict[str, Any]]) -> None:
    """Add its variables to the innermost frame of the user's own, or the innermost of all."""
    import reprlib

    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = LOCAL_LENGTH
    frames = _walk(error)[-len(described) :] if described else []
    own = [pair for pair in zip(frames, described, strict=True) if not pair[1]["library"]]
    for (frame, _), fields in (own or [*zip(frames, described, strict=True)])[-1:]:
        named = [(name, value) for name, value in frame.f_locals.items() if not name.startswith(("__", "."))]
        if frame.f_locals is frame.f_globals:
            # Of a cell or module: what it calls is no news.
            named = [pair for pair in named if not isinstance(pair[1], FunctionType | ModuleType | type)]
        fields["locals"] = {name: encodable(short.repr(value)[:LOCAL_LENGTH]) for name, value in named[:LOCALS]}


def _machinery(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return name == FILE or name.startswith(_HERE) or any(folder in name for folder in _MACHINERY)


def _frame(frame: FrameType, line: int) -> dict[str, Any]:
    code = frame.f_code
    return {
        "file": shorten(code.co_filename),
        "line": line,
        "function": code.co_name,
        "source": encodable(linecache.getline(code.co_filename, line, frame.f_globals).strip()),
        "library": code.co_filename.startswith(_LIBRARIES),
    }
