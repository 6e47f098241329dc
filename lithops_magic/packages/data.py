"""The files for the tasks' working folder, as listed by the user."""

from __future__ import annotations

import dis
import glob
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from types import CodeType

from lithops_magic.errors import PackageError
from lithops_magic.working_folder import working_folder

Data = tuple[tuple[str, Path], ...]
"""Names in the tasks' working folder, each with its local path."""

UNZIPPED_LIMIT = 262_144_000
"""Maximum unzipped bytes of a function and its layers (AWS Lambda quotas: 250 MB); data gets no more than that."""

_LOOKS = {
    *("exists", "glob", "iglob", "is_dir", "is_file", "isdir", "isfile", "iterdir", "listdir", "rglob", "scandir"),
    *("walk", "ConfigParser", "RawConfigParser", "connect", "dbm", "dotenv_values", "load_dotenv", "shelve"),
}
"""Functions and methods that silently find nothing, or begin a new file, if a file is missing."""
_CATCHES = ("CHECK_EXC_MATCH", "JUMP_IF_NOT_EXC_MATCH", "CHECK_EG_MATCH")
"""Instructions of an `except` clause, which may hide that a file is missing."""
_MAX_NAME = 200
"""Maximum characters of a string that may name a file."""
_NEVER = {".git", ".ipynb_checkpoints", "__pycache__"}


def listed(words: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None) -> Data:
    """Return the files that the paths name, including patterns and folders.

    Files below the notebook's folder keep their relative path; others are placed under their own name.

    Raises
    ------
    PackageError
        A path matches nothing or cannot be read, two files have the same name, or they are too large.
    """
    found: dict[str, Path] = {}
    size = 0
    for word in [words] if isinstance(words, str | os.PathLike) else list(words or ()):
        if not (below := list(_below(os.fspath(word)))):
            raise PackageError(f"files: {word} has no files; tasks can make the folder, or put a file into it here.")
        for name, path in below:
            # The same file may be listed twice, by a pattern and by name.
            if found.setdefault(name, path).resolve() != path.resolve():
                raise PackageError(f"files: {found[name]} and {path} would both be {name} in the tasks' folder.")
            size += path.stat().st_size
            if size > UNZIPPED_LIMIT:
                raise PackageError(
                    f"files: with {word}, they exceed {UNZIPPED_LIMIT // 2**20} MB, too much to send with a job: "
                    "put it in S3 and read it from there."
                )
    return tuple(sorted(found.items()))


def looked_for(codes: Iterable[CodeType], shipped: Data) -> list[str]:
    """Return names and patterns that match unshipped files in this folder, from code that looks for files."""
    found: dict[str, None] = {}
    waiting = list(codes)
    while waiting:
        code = waiting.pop()
        waiting += [const for const in code.co_consts if isinstance(const, CodeType)]
        looks = bool(_LOOKS.intersection(code.co_names))
        if looks or _catches(code):
            # Anything else in an `except` is a guess: only a file that exists here counts, not a folder or a pattern.
            texts = [const for const in code.co_consts if isinstance(const, str) and len(const) <= _MAX_NAME]
            here = [text for text in texts if _is_here(text) and (looks or os.path.isfile(text))]  # noqa: PTH113
            found |= dict.fromkeys(text for text in here if not _is_shipped(text, shipped))
    return sorted(found)


def _catches(code: CodeType) -> bool:
    return any(instruction.opname in _CATCHES for instruction in dis.get_instructions(code))


def _is_here(text: str) -> bool:
    name = os.path.normpath(text)
    if not text.isprintable() or not text or name in (".", "..") or os.path.isabs(text):  # noqa: PTH117
        return False
    return next(glob.iglob(text, recursive=True), None) is not None  # noqa: PTH207


def _is_shipped(text: str, shipped: Data) -> bool:
    name = os.path.normpath(text)
    return any(one == name or one.startswith(f"{name}/") or fnmatch(one, name) for one, _ in shipped)


def _below(word: str) -> Iterator[tuple[str, Path]]:
    given = os.path.expanduser(word)  # noqa: PTH111 - a pattern is no path
    paths = [given] if os.path.lexists(given) else sorted(glob.glob(given, recursive=True))  # noqa: PTH207
    if not paths:
        raise PackageError(f"files: there is no file or folder {word}.")
    for path in map(Path, paths):
        start = _start(path)
        for file in _files(path, word, set()):
            yield file.relative_to(start).as_posix(), file


def _start(path: Path) -> Path:
    """Return the folder to which the names of files in `path` are relative."""
    here, whole = working_folder(), Path(os.path.abspath(path))  # noqa: PTH100 - a link keeps its name
    return here if whole.is_relative_to(here) else whole.parent


def _files(path: Path, word: str, seen: set[Path]) -> Iterator[Path]:
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link keeps its name
    try:
        if path.is_dir():
            if path.resolve() in seen:  # a link to a parent folder
                return
            for each in sorted(path.iterdir()):
                if each.name not in _NEVER and (each.is_dir() or each.is_file()):
                    yield from _files(each, word, seen | {path.resolve()})
        elif path.is_file() and os.access(path, os.R_OK):
            yield path
        else:
            raise PackageError(f"files: {path} cannot be read: {'no permission' if path.is_file() else 'no file'}.")
    except OSError as error:
        raise PackageError(f"files: {error.filename or word} cannot be read: {error.strerror}.") from None
