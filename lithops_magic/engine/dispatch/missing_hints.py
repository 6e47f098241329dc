"""Whether a task's error may be due to a package that was looked for in vain, though it names none."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from lithops_magic.errors import RemoteTraceback

_IMPORT = ("ImportError", "ModuleNotFoundError", "PackageNotFoundError")
_HINT = re.compile(r"\b(?:install|backend|engine|plugin|driver|depend|not available|unsupported|no module)", re.I)
"""Error messages of libraries that lack an optional dependency."""
_WEAK_HINT = re.compile(
    r"\b(?:not (?:found|known|recogni[sz]ed|supported)|un(?:known|recogni[sz]ed)|missing|require|need(?:s|ed)\b|"
    r"disabled|(?:un)?available|support|optional)",
    re.I,
)
"""Words that may indicate one, although users' own errors contain them, too."""
_SEARCH = re.compile("entry_?point|plugin", re.I)
"""Code that fails because it finds no plugins."""
_CONSEQUENCES = ("AttributeError", "NameError", "UnboundLocalError")
"""Errors caused by a name that a library left unset, or set to None, because a module was not found."""
_GUARDS = ("AssertionError", "NotImplementedError")
"""Errors with which a module that looked for another one may refuse to go on."""


def is_likely(traceback: RemoteTraceback, text: str) -> bool:
    """Whether an error, whose messages are `text`, reads like one of a library without an optional dependency."""
    if any(part.type.rpartition(".")[2] in _IMPORT for part in traceback.chain()) or _HINT.search(text):
        return True
    if traceback.frames and _SEARCH.search(traceback.frames[-1].source):
        return True
    by_library = bool(traceback.frames) and traceback.frames[-1].library
    return by_library and (traceback.type in _CONSEQUENCES or bool(_WEAK_HINT.search(text)))


def is_raised_by(traceback: RemoteTraceback, asker: str) -> bool:
    """Whether the package that looked for another one in vain refuses to go on, or stumbles over its absence."""
    if not traceback.frames or not traceback.frames[-1].library:
        return False
    top, path = asker.partition(".")[0], PurePosixPath(traceback.frames[-1].file)
    stumbles = traceback.type == "TypeError" and "NoneType" in traceback.message
    return (stumbles or traceback.type in _GUARDS) and top in (*path.parts[:-1], path.stem)
