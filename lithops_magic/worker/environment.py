"""The environment of libraries and child processes: writable folders, the tasks' packages, and a `/tmp` kept clean."""

# ruff: noqa: PTH108, PTH119, PTH118, PTH109, PTH123, PTH208 - importing pathlib would slow every cold start

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
PREFIX = "lithops-magic-"
"""Prefix of our own files, which are verified before they are used."""
_INITIAL_FILE = f"{PREFIX}before"
"""Lists the names that were there at the start; in a file, so that it outlives a killed process, as `/tmp` does."""
_initial: set[str] = set()


def prepare() -> None:
    """Set missing variables, and let child Pythons find the same packages."""
    for name, folder in FOLDERS.items():
        os.environ.setdefault(name, folder)
    places = [path for path in sys.path if path and not path.startswith((sys.prefix, sys.base_prefix))]
    os.environ["PYTHONPATH"] = os.pathsep.join(places)
    programs = [f"{path.removesuffix('python')}bin" for path in places if path.endswith("/python")]
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*path, *(folder for folder in programs if folder not in path)])


def clean_tmp() -> None:
    """Remove what earlier jobs have left, except what was there at the start and libraries' caches."""
    if not _is_private():
        return
    with contextlib.suppress(OSError):
        names = set(os.listdir(_TMP))
        if not _initial:
            _initial.update(_initial_names(os.path.join(_TMP, _INITIAL_FILE), names))
        # Libraries' caches belong to no job.
        kept = {os.path.basename(place) for place in FOLDERS.values()}
        for name in names - _initial - kept:
            if not name.startswith(PREFIX):
                _remove(os.path.join(_TMP, name))


def _is_private() -> bool:
    """Whether `/tmp` belongs to this sandbox alone: on Lambda, or in a namespace of the local AWS."""
    return os.environ.get("LAMBDA_TASK_ROOT") == "/var/task" or "LAMBDA_OPT_DIR" in os.environ


def _initial_names(path: str, names: set[str]) -> set[str]:
    with contextlib.suppress(OSError), open(path) as file:
        return set(file.read().split("\0"))
    with contextlib.suppress(OSError), open(path, "w") as file:
        file.write("\0".join({_INITIAL_FILE, *names}))
    return {_INITIAL_FILE, *names}


def _remove(path: str) -> None:
    kind = stat.S_IFMT(os.lstat(path).st_mode)
    with contextlib.suppress(OSError):
        if kind == stat.S_IFDIR:
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        elif kind in (stat.S_IFREG, stat.S_IFLNK):
            os.unlink(path)


class ProcessState:
    """A snapshot of what must not leak from one task to the next: variables, working folder, `sys.path`, umask."""

    def __init__(self) -> None:
        self._environ, self._variables = os.environ, dict(os.environ)
        self._saved = dict(_raw())
        self._path, self._entries = sys.path, list(sys.path)
        self._folder = os.getcwd()
        self._umask = os.umask(0o22)
        os.umask(self._umask)

    def restore(self) -> None:
        """Restore what differs."""
        if os.environ is not self._environ or _raw() != self._saved:
            os.environ = self._environ  # noqa: B003 - drop what a task has put in its place
            os.environ.clear()
            os.environ.update(self._variables)
        if sys.path is not self._path or sys.path != self._entries:
            sys.path = self._path
            sys.path[:] = self._entries
        with contextlib.suppress(OSError):
            os.chdir(self._folder)
        os.umask(self._umask)


def _raw() -> dict[bytes, bytes]:
    """Return the raw variables: decoding them for each of many tiny tasks would take longer than the task."""
    raw: dict[bytes, bytes] = vars(os.environ).get("_data", {})
    return raw
