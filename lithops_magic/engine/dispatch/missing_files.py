"""Names the file that a task did not find and this machine has, however the failure is worded or wrapped."""

from __future__ import annotations

import linecache
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator

from lithops_magic.errors import RemoteTraceback

_ABSENT = re.compile(r"no such file|does not exist|cannot find|not found|unable to open|could not open", re.IGNORECASE)
_SHIPPED = re.compile(r"^(?:/opt/python|/var/task|.*/modules-[0-9a-f]{12})/")
"""Folders of a sandbox: the notebook's modules, where code may look for files next to them, and where tasks work."""
_DATA = re.compile(r"^/.*?/((?:share|etc)/.+)")
"""A data file of a package outside of its modules, such as ``share/proj/proj.db``."""
_NAMES = re.compile(r"""'([^'\n]+)'|"([^"\n]+)"|(\S+)""")
_LITERALS = re.compile(r"""'([^'\n]+)'|"([^"\n]+)\"""")
_UNNAMED = "unable to open database file"
"""What SQLite says, which names no file."""


def explain(error: RemoteTraceback, original: BaseException | None) -> str:
    """Say how to bring the file or folder that a sandbox lacked and this machine has; empty if there is none.

    Parameters
    ----------
    original
        The exception itself, as far as it could be rebuilt.
    """
    # Libraries often wrap the error that names the file.
    for one in error.chain():
        names = list(_names(one, original if one is error else None))
        found = (name for name in names if os.path.exists(name))  # noqa: PTH110 - never raises
        if path := next(found, "") or next(_installed_data(names), ""):
            return _bring(path)
    return ""


def _installed_data(names: Iterable[str]) -> Iterator[str]:
    """Yield files that installers put beside Python itself, under a sandbox's `sys.prefix` in `names`."""
    for name in names:
        if found := _DATA.search(name):
            path = os.path.join(sys.prefix, found[1])  # noqa: PTH118
            if os.path.exists(path):  # noqa: PTH110
                yield path


def _names(error: RemoteTraceback, original: BaseException | None) -> Iterator[str]:
    """Yield what may be the names of files that were not found."""
    said = getattr(original, "stderr", None)  # a program's own error message
    said = said.decode(errors="replace") if isinstance(said, bytes) else said if isinstance(said, str) else ""
    text = f"{error.message} {said}"
    if error.type not in ("FileNotFoundError", "NotADirectoryError") and not _ABSENT.search(text):
        return
    # What the exception holds is exact; names in its message are guesses, and come after.
    named = (original.filename, original.filename2) if isinstance(original, OSError) else ()
    yield from (_SHIPPED.sub("", str(name)) for name in named if isinstance(name, str | os.PathLike))
    if _UNNAMED in text:
        # A sandbox does not have the source of a notebook's cells.
        lines = (one.source or linecache.getline(one.file, one.line) for one in reversed(error.frames) if one.own)
        line = next(lines, "")
        for groups in _LITERALS.findall(line):
            yield "".join(groups).removeprefix("file:").partition("?")[0]
    for groups in _NAMES.findall(text):
        word = _SHIPPED.sub("", "".join(groups).rstrip(",.:;)"))
        if os.path.isfile(word) or _DATA.search(word):  # noqa: PTH113
            yield word


def _bring(path: str) -> str:
    what = "folder" if os.path.isdir(path) else "file"  # noqa: PTH112
    ship = f"ship it with files (--files {shlex.quote(path)})"
    name = os.path.relpath(path)
    outside = name.startswith(os.pardir)
    if outside or os.path.normpath(path) != name:
        there = os.path.basename(name) if outside else name  # noqa: PTH119
        ship += f" and call it {there!r} in the task"
    return f"the {what} {path} is on this machine and not in the sandbox: {ship}, or put it in S3"
