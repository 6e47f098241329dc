"""The environment of libraries and child processes: writable folders, and the tasks' packages."""

from __future__ import annotations

import os
import sys

_TMP = os.environ.get("TMPDIR", "/tmp")

FOLDERS = {
    "HOME": _TMP,
    "MPLCONFIGDIR": f"{_TMP}/matplotlib",
    "NUMBA_CACHE_DIR": f"{_TMP}/numba",
    "XDG_CACHE_HOME": f"{_TMP}/.cache",
}
"""Where libraries put caches, since only /tmp is writable; the function's configured variables take precedence."""


def prepare() -> None:
    """Set missing variables, and let child Pythons find the same packages."""
    for name, folder in FOLDERS.items():
        os.environ.setdefault(name, folder)
    places = [path for path in sys.path if path and not path.startswith((sys.prefix, sys.base_prefix))]
    os.environ["PYTHONPATH"] = os.pathsep.join(places)
    programs = [f"{path.removesuffix('python')}bin" for path in places if path.endswith("/python")]
    known = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*known, *(folder for folder in programs if folder not in known)])
