"""Folders and files that only this user can have written, because some of their content is unpickled."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO


class NotPrivate(PermissionError):
    """Another user could have written one of our folders or files."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not trusted: it must be your own, not a link, and closed to others (chmod 700)")


def check(folder: Path) -> None:
    """Ensure that no other user can put a file into a folder.

    Raises
    ------
    NotPrivate
        Another user could.
    """
    if not _is_private(folder.lstat(), stat.S_ISDIR):
        raise NotPrivate(folder)


def read(path: Path, start: int = 0) -> bytes:
    """Return a file's contents from an offset on.

    Raises
    ------
    NotPrivate
        Another user could have written it.
    """
    with _open(path, os.O_RDONLY, "rb") as file:
        file.seek(start)
        data: bytes = file.read()
        return data


def append(path: Path) -> IO[bytes]:
    """Open a file for appending."""
    return _open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, "ab")


def _open(path: Path, flags: int, mode: str) -> IO[bytes]:
    # Neither block on a pipe planted there nor follow a link. Windows has neither flag.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise NotPrivate(path) from error
        raise
    file: IO[bytes] = open(descriptor, mode)  # noqa: PTH123, SIM115 - it is a descriptor
    if not _is_private(os.fstat(descriptor), stat.S_ISREG):
        file.close()
        raise NotPrivate(path)
    return file


def _is_private(found: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Whether only this user can write there; Windows protects the user's profile itself."""
    if not is_kind(found.st_mode):
        return False
    return not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o077)
