"""Puts the notebook's own modules, which come with the request, where the sandbox's Python finds them."""

# ruff: noqa: PTH104, PTH112, PTH118 - importing pathlib would slow every cold start

from __future__ import annotations

import base64
import importlib
import io
import os
import sys

_PREFIX = "lithops-magic-"
_folder = ""


def install(sources: dict[str, str] | None) -> bool:
    """Make these sources importable in place of those of an earlier request; False if they are the same."""
    global _folder
    folder = _place(sources["sha256"]) if sources else ""
    if folder == _folder:
        return False
    if _folder:
        _forget()
    if sources:
        _unpack(base64.b64decode(sources["data"]), folder)
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
    _folder = folder
    return True


def shorten(file: str) -> str:
    """Return the path of one of these modules as the notebook knows it; other paths stay."""
    return file.removeprefix(_folder + os.sep) if _folder else file


def _place(digest: str) -> str:
    import tempfile  # 10 ms of every cold start, for those who send modules

    return os.path.join(tempfile.gettempdir(), _PREFIX + digest[:16])


def _unpack(data: bytes, folder: str) -> None:
    import zipfile

    # A sandbox runs one request at a time, but one may have been killed while it wrote.
    partial = f"{folder}.partial"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(partial)
    if not os.path.isdir(folder):
        os.rename(partial, folder)


def _forget() -> None:
    sys.path.remove(_folder)
    for name, module in list(sys.modules.items()):
        places = (getattr(module, "__file__", None) or "", *getattr(module, "__path__", ()))
        if any(place.startswith(_folder + os.sep) for place in places):
            del sys.modules[name]
