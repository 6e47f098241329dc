"""Makes the notebook's own modules, which come with the request, importable in the sandbox."""

# ruff: noqa: PTH112, PTH118, PTH208 - importing pathlib would slow every cold start

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from typing import Any

from .archive import extract
from .functions import fetch
from .store import Store, StoreError

_digest = _folder = ""


def install(sources: dict[str, Any] | None, sandbox: str, store: Store | None) -> None:
    """Unpack the sources into this sandbox's own folder, make it importable, and work there if there are data files.

    Raises
    ------
    StoreError
        They cannot be fetched, or there is no room for them.
    """
    global _digest, _folder
    digest = sources["sha256"] if sources else ""
    if digest == _digest:
        return
    if _folder:
        _forget(_folder)
        _digest = _folder = ""
    if sources:
        import tempfile  # takes 10 ms, so only if modules are sent

        # Without our prefix: it is removed with the job.
        folder = os.path.join(tempfile.gettempdir(), f"modules-{sandbox}")
        _unpack(fetch(sources, store, "job's files"), folder)
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        _digest, _folder = digest, folder
        if "cwd" in sources:
            os.chdir(folder)


def shorten(file: str) -> str:
    """Return the notebook's path of a shipped module; other paths are unchanged."""
    return file.removeprefix(_folder + os.sep) if _folder else file


def _unpack(data: bytes | bytearray, folder: str) -> None:
    import shutil

    # Another job's tasks may have changed the files.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        extract(io.BytesIO(data), folder)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        text = "The notebook's modules and files do not fit into the function's /tmp: give it more with --tmp"
        raise StoreError("store", f"{text} (ephemeral_storage).") from None


def _forget(folder: str) -> None:
    """Unload the modules of the previous job, where processes cannot fork."""
    gone = [name for name, module in list(sys.modules.items()) if _is_below(getattr(module, "__file__", None), folder)]
    # A namespace package has no file, and its path is computed from its parent's, which may be gone already.
    tops = {name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name))}
    gone += [name for name in sys.modules if name.partition(".")[0] in tops]
    for name in gone:
        sys.modules.pop(name, None)
    if folder in sys.path:
        sys.path.remove(folder)


def _is_below(file: object, folder: str) -> bool:
    return isinstance(file, str) and file.startswith(folder + os.sep)
