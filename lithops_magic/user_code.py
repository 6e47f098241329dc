"""Tells the user's own code from Python's, that of installed packages, and ours."""

from __future__ import annotations

import linecache
import os
import re
import sys
import sysconfig
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

from lithops_magic.working_folder import working_folder

_TYPED = ("<ipython-input-", "<stdin>", "<console>", "<python-input-", "<doctest ")
"""Beginnings of the file names of code that a person typed; other names in angle brackets are of generated code."""
STAND_IN = "__lithops_magic_stand_in__"
"""A global variable that marks a frame as a copy of a sandbox's frame."""

_PACKAGES = r"(?:site|dist)-packages[/\\]"
_INSTALLED = re.compile(rf"[/\\](?:lib[/\\]python3\.\d+[/\\](?:{_PACKAGES})?|{_PACKAGES})", re.IGNORECASE)
_COMPILED = (".pyx", ".pxd", ".pxi")
_LIBRARIES = tuple(
    f"{path}{os.sep}"
    # The last is what of ours is shipped with a job, by its name in a sandbox.
    for path in {
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        str(Path(__file__).parent),
        str(Path("lithops_magic", "data", "inside")),
    }
)


def is_users(file: str) -> bool:
    """Whether the user wrote this file or cell, as far as its name tells."""
    if file.startswith("<"):
        return file.startswith(_TYPED)
    return not (_INSTALLED.search(file) or file.endswith(_COMPILED) or file.startswith(_LIBRARIES))


def is_known(file: str) -> bool:
    """Whether this process has the file's text."""
    return bool(linecache.getlines(file))


def name(file: str) -> str:
    """Return the user's name for a code file: ``Cell In[6]``, or its path, relative if below the working folder."""
    shell = _shell()
    if shell is not None and (named := shell.compile.format_code_name(file)):
        return " ".join(named)
    return file.removeprefix(f"{working_folder()}{os.sep}")


def variable(value: object) -> str:
    """Return the notebook's variable for this very object; empty if it has none, or there is no notebook."""
    names = getattr(_shell(), "user_ns", {})
    found = [name for name, one in list(names.items()) if one is value]
    # Names such as `_` and `_lambda` refer to something else after the next cell.
    return next((name for name in found if not name.startswith("_")), found[0] if found else "")


def _shell() -> Any:
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()


def short(file: str) -> str:
    """Return the part of an installed file's path that does not depend on where it is installed."""
    return _INSTALLED.split(file)[-1]


def is_interrupt(error: BaseException) -> bool:
    """Whether the user probably interrupted this thread: Python delivers Ctrl-C only to the main one."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def calls(at: TracebackType | None) -> list[str]:
    """Return the user's own lines on the way to an error of ours, if functions of the user's are among them."""
    frames = _frames(at)
    if all(code.co_name == "<module>" for code, _ in frames):
        return []
    return ["Traceback (most recent call last):", *lines(at)]


def line_of_cell(at: TracebackType | None) -> str:
    """Return the line that led to an error of ours, such as ``Cell In[6], line 3``; empty for one-line cells."""
    code, line = next(reversed(_frames(at)), (None, 0))
    if code is None or len(linecache.getlines(code.co_filename)) < 2:
        return ""
    return f"{name(code.co_filename)}, line {line}"


def lines(at: TracebackType | None) -> Iterator[str]:
    """Yield the user's own lines on the way to an error of ours, as Python shows them."""
    for code, line in _frames(at):
        yield f"  {name(code.co_filename)}, line {line}, in {code.co_name}"
        if source := linecache.getline(code.co_filename, line).strip():
            yield f"    {source}"


def _frames(at: TracebackType | None) -> list[tuple[CodeType, int]]:
    """Return the code and lines of the user's frames, without copies of a sandbox's frames (`STAND_IN`)."""
    found = traceback.walk_tb(at)
    return [(f.f_code, line) for f, line in found if is_users(f.f_code.co_filename) and STAND_IN not in f.f_globals]
