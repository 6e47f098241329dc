"""The environment of libraries and child processes: writable folders, the tasks' packages, and a `/tmp` kept clean."""

# ruff: noqa: PTH108, PTH119, PTH118, PTH123, PTH208 - importing pathlib would slow every cold start

from __future__ import annotations

import contextlib
import os
import stat
import sys

_TMP = os.environ.get("TMPDIR", "/tmp")

FOLDERS = {
    "HOME": _TMP,
    "MPLCONFIGDIR": f"{_TMP}/matplotlib",
    "NUMBA_CACHE_DIR": f"{_TMP}/numba",
    "XDG_CACHE_HOME": f"{_TMP}/.cache",
}
"""Where libraries put caches, since only /tmp is writable; the function's configured variables take precedence."""
OURS = "lithops-magic-"
"""Prefix of our own files, which are verified before they are used."""
_LIST = f"{OURS}before"
"""Lists the names that were there at the start; in a file, so that it outlives a killed process, as `/tmp` does."""
_before: set[str] = set()


def prepare() -> None:
    """Set missing variables, and let child Pythons find the same packages."""
    for name, folder in FOLDERS.items():
        os.environ.setdefault(name, folder)
    places = [path for path in sys.path if path and not path.startswith((sys.prefix, sys.base_prefix))]
    os.environ["PYTHONPATH"] = os.pathsep.join(places)
    programs = [f"{path.removesuffix('python')}bin" for path in places if path.endswith("/python")]
    known = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*known, *(folder for folder in programs if folder not in known)])


def tidy() -> None:
    """Remove what earlier jobs have left, except what was there at the start and libraries' caches."""
    if not _is_private():
        return
    with contextlib.suppress(OSError):
        names = set(os.listdir(_TMP))
        if not _before:
            _before.update(_found_at_first(os.path.join(_TMP, _LIST), names))
        # Libraries' caches belong to no job.
        kept = {os.path.basename(place) for place in FOLDERS.values()}
        for name in names - _before - kept:
            if not name.startswith(OURS):
                _remove(os.path.join(_TMP, name))


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
