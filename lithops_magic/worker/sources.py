"""Puts the notebook's own modules, which come with the request, where the sandbox's Python finds them."""

# ruff: noqa: PTH112, PTH118, PTH208 - importing pathlib would slow every cold start

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from typing import Any

from .functions import fetch
from .store import Problem, Store

_digest = _folder = ""


def install(sources: dict[str, Any] | None, sandbox: str, store: Store | None) -> None:
    """Make these sources importable, in a folder that is this sandbox's own, and work there if there are data.

    Raises
    ------
    Problem
        They cannot be had, or there is no room for them.
    """
    global _digest, _folder
    digest = sources["sha256"] if sources else ""
    if digest == _digest:
        return
    if _folder:
        _forget(_folder)
        _digest = _folder = ""
    if sources:
        import tempfile  # 10 ms of every cold start, for those who send modules

        # Without our prefix: it goes with the job.
        folder = os.path.join(tempfile.gettempdir(), f"modules-{sandbox}")
        _unpack(fetch(sources, store, "job's files"), folder)
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        _digest, _folder = digest, folder
        if "cwd" in sources:
            os.chdir(folder)


def shorten(file: str) -> str:
    """Return the path of one of these modules as the notebook knows it; other paths stay."""
    return file.removeprefix(_folder + os.sep) if _folder else file


def _unpack(data: bytes | bytearray, folder: str) -> None:
    import shutil
    import zipfile

    # Tasks of another job may have changed what they found there.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(folder)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        text = "The notebook's modules and files do not fit into the function's /tmp: give it more with --tmp"
        raise Problem("store", f"{text} (ephemeral_storage).") from None


def _forget(folder: str) -> None:
    """Where no process can be forked, another job's modules take the place of these."""
    gone = [name for name, module in list(sys.modules.items()) if _is_below(getattr(module, "__file__", None), folder)]
    # A namespace package has no file, and its path is worked out from its parent's: not to be asked for any more.
    tops = {name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name))}
    gone += [name for name in sys.modules if name.partition(".")[0] in tops]
    for name in gone:
        sys.modules.pop(name, None)
    if folder in sys.path:
        sys.path.remove(folder)


def _is_below(file: object, folder: str) -> bool:
    return isinstance(file, str) and file.startswith(folder + os.sep)
