"""The source cells of a job's code: another process knows neither their text nor their names."""

from __future__ import annotations

import contextlib
import linecache
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

from lithops_magic import user_code

LIMIT = 200_000
"""Maximum characters kept of all cells together."""
_FUNCTIONS = 200


def files(function: object) -> set[str]:
    """The user's own files that contain the code of `function` and of what it calls."""
    found = {code.co_filename for code in _codes(function)}
    return {file for file in found if user_code.is_users(file)}


def texts(names: set[str]) -> dict[str, str]:
    """The source text of code that is not in a file."""
    kept, room = dict[str, str](), LIMIT
    for name in sorted(names):
        # A file can be read when it is needed.
        text = "" if Path(name).exists() else "".join(linecache.getlines(name))
        if text and len(text) <= room:
            room -= len(text)
            kept[name] = text
    return kept


def remember(kept: Mapping[str, str]) -> None:
    """Register these texts where tracebacks look up lines of code."""
    for name, text in kept.items():
        if not linecache.getlines(name):
            # Without a modification time, linecache does not look for a file.
            linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name


def _codes(function: object) -> Iterator[CodeType]:
    waiting, seen = [function], set[int]()
    while waiting and len(seen) < _FUNCTIONS:
        one = waiting.pop()
        one = one.__func__ if isinstance(one, MethodType) else getattr(one, "__wrapped__", one)
        if not isinstance(one, FunctionType) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one.__code__
        waiting += _used(one)


def _used(function: FunctionType) -> Iterator[Any]:
    yield from (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # the cell is empty
            yield cell.cell_contents
    yield from (function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)
