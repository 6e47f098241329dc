"""Cleans `/tmp` between jobs: files that earlier jobs left are removed, so that it cannot fill up."""

# ruff: noqa: PTH108, PTH119, PTH118, PTH123, PTH208 - importing pathlib would slow every cold start

from __future__ import annotations

import contextlib
import os
import stat

from .environment import FOLDERS

OURS = "lithops-magic-"
"""Prefix of our own files, which are verified before they are used."""
_LIST = f"{OURS}before"
"""Lists the names that were there at the start; in a file, so that it outlives a killed process, as `/tmp` does."""
_before: set[str] = set()


def tidy() -> None:
    """Remove what earlier jobs have left, except what was there at the start and libraries' caches."""
    if not _is_private():
        return
    folder = os.environ.get("TMPDIR", "/tmp")
    with contextlib.suppress(OSError):
        names = set(os.listdir(folder))
        if not _before:
            _before.update(_found_at_first(os.path.join(folder, _LIST), names))
        # Libraries' caches belong to no job.
        kept = {os.path.basename(place) for place in FOLDERS.values()}
        for name in names - _before - kept:
            if not name.startswith(OURS):
                _remove(os.path.join(folder, name))


def _is_private() -> bool:
    """Whether `/tmp` belongs to this sandbox alone: on Lambda, or in a namespace of the local AWS."""
    return os.environ.get("LAMBDA_TASK_ROOT") == "/var/task" or "LAMBDA_OPT_DIR" in os.environ


def _found_at_first(path: str, names: set[str]) -> set[str]:
    with contextlib.suppress(OSError), open(path) as file:
        return set(file.read().split("\0"))
    with contextlib.suppress(OSError), open(path, "w") as file:
        file.write("\0".join({_LIST, *names}))
    return {_LIST, *names}


def _remove(path: str) -> None:
    kind = stat.S_IFMT(os.lstat(path).st_mode)
    with contextlib.suppress(OSError):
        if kind == stat.S_IFDIR:
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        elif kind in (stat.S_IFREG, stat.S_IFLNK):
            os.unlink(path)
