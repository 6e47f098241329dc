"""Tells the user's own code from Python's, that of installed packages, and ours."""

from __future__ import annotations

import linecache
import os
import re
import sys
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

_TYPED = ("<ipython-input-", "<stdin>", "<console>", "<python-input-", "<doctest ")
"""What code is called that a person typed; other names in angle brackets are those of generated code."""
_PACKAGES = r"(?:site|dist)-packages[/\\]"
_INSTALLED = re.compile(rf"[/\\](?:lib[/\\]python3\.\d+[/\\](?:{_PACKAGES})?|{_PACKAGES})", re.IGNORECASE)
_COMPILED = (".pyx", ".pxd", ".pxi")
_LIBRARIES = tuple(
    f"{path}{os.sep}"
    for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(__file__).parent)}
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
    """What the user calls a code file: ``Cell In[6]``, or its path, from the current folder if it is there."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and (named := shell.compile.format_code_name(file)):
        return " ".join(named)
    return file.removeprefix(f"{Path.cwd()}{os.sep}")


def short(file: str) -> str:
    """Of an installed file, the part that does not depend on where it is installed."""
    return _INSTALLED.split(file)[-1]


def calls(at: TracebackType | None) -> list[str]:
    """The user's own lines on the way to an error of ours, if more than the cell or script itself is on it."""
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(at) if is_users(frame.f_code.co_filename)]
    if all(code.co_name == "<module>" for code, _ in frames):
        return []
    lines = []
    for code, line in frames:
        lines.append(f"  {name(code.co_filename)}, line {line}, in {code.co_name}")
        if source := linecache.getline(code.co_filename, line).strip():
            lines.append(f"    {source}")
    return lines
