"""The function a request is about: inline, from an earlier request, from `/tmp` or from S3."""

# ruff: noqa: PTH103, PTH105, PTH108, PTH118, PTH119, PTH120, PTH123 - importing pathlib would slow every cold start

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Callable
from typing import Any

from . import packing
from .store import Problem, Store, digest

SHARE = 0.25
"""Of `/tmp`, what fetched functions may take: the rest is the user's. It outlives a killed process."""

_loaded: dict[str, Callable[[Any], Any]] = {}
request: dict[str, Any] = {}
"""The one that is answered now: a task that has other sandboxes called sends on what it says of packages."""


class Function:
    """The function of one request, fetched but not necessarily unpickled yet.

    Raises
    ------
    Problem
        It is in S3, and cannot be had from there.
    """

    def __init__(self, function: dict[str, Any], store: Store | None) -> None:
        self._digest: str = function["sha256"]
        self._data = b"" if self._digest in _loaded else _fetch(function, store)

    def load(self) -> Callable[[Any], Any]:
        """Return it, unpickled once in each process."""
        if self._digest not in _loaded:
            loaded = load(self._data, "function")
            self._data = b""
            _loaded.clear()
            _loaded[self._digest] = loaded
        return _loaded[self._digest]


def forget() -> None:
    """Unpickle the next function even if it is known: another job must not see what this one has changed in it."""
    _loaded.clear()


def load(data: bytes, what: str) -> Any:
    """Unpickle a function or an item, and say so if it is what misses a module."""
    try:
        return packing.loads(data)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"No module named {error.name!r}, which the {what} needs", name=error.name) from None


def fetch(data: dict[str, Any], store: Store | None, what: str) -> bytes:
    """Return what a request holds itself or refers to.

    Raises
    ------
    Problem
        It is in S3, and cannot be had from there.
    """
    if "data" in data:
        return base64.b64decode(data["data"])
    if store is None or not {"object", "sha256", "size"} <= {*data}:
        raise Problem("store", f"the {what} is in S3, and the request does not say where")
    return store.get(data, what)


def _fetch(function: dict[str, Any], store: Store | None) -> bytes:
    if "data" in function:
        return base64.b64decode(function["data"])
    path = os.path.join(_folder(), function["sha256"])
    data = _read(path)
    if data is None:
        data = fetch(function, store, "function")
        with contextlib.suppress(OSError):  # a full /tmp costs time, no task
            _write(path, data)
    return data


def _folder() -> str:
    import tempfile

    return os.path.join(tempfile.gettempdir(), "lithops-magic-functions")


def _read(path: str) -> bytes | None:
    """Return a cached function; None unless it is exactly what its name says."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    return data if digest(data) == os.path.basename(path) else None


def _write(path: str, data: bytes) -> None:
    """Cache a function, in place of the oldest ones where there is no room."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    room = int(_capacity(folder) * SHARE) - len(data)
    if room < 0:
        return
    newest_first = sorted(os.scandir(folder), key=lambda entry: entry.stat().st_mtime, reverse=True)
    for entry in newest_first:
        room -= entry.stat().st_size
        if room < 0 or entry.name.endswith(".partial"):
            os.unlink(entry.path)
    # Whoever is killed here leaves a file without the name of a function.
    partial = f"{path}.partial"
    with open(partial, "wb") as file:
        file.write(data)
    os.replace(partial, path)


def _capacity(folder: str) -> int:
    import shutil

    return shutil.disk_usage(folder).total
