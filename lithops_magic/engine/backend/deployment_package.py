"""Builds the deployment package: the worker and the notebook's own cloudpickle, reproducible byte for byte."""

from __future__ import annotations

import functools
import io
import marshal
import os
import zipfile
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import MAGIC_NUMBER

from lithops_magic.engine.backend.stripping import stripped, without_lines

_NOT_ON_LAMBDA = "in_process.py" if hasattr(os, "fork") else ""
"""Only needed by a local AWS on Windows."""
# Neither the time, nor the mode of the files, nor the system that builds the zip may change its bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
"""A regular file that every user may read, as Lambda requires; a zip has Unix modes in the upper half of this field."""


@functools.cache
def worker_package() -> bytes:
    """Return the zip to deploy to Lambda; the same sources give the same bytes."""
    worker = _sources("lithops_magic_worker", files("lithops_magic.worker"))
    contents = {
        **{name: stripped(source) for name, source in worker.items()},
        **_compiled("cloudpickle", files("cloudpickle")),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted(contents.items()):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = _MODE
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            archive.writestr(info, data, compresslevel=9)
    return buffer.getvalue()


def _sources(package: str, folder: Traversable) -> dict[str, bytes]:
    files = [file for file in folder.iterdir() if file.name.endswith(".py")]
    return {f"{package}/{file.name}": file.read_bytes() for file in files if file.name != _NOT_ON_LAMBDA}


def _compiled(package: str, folder: Traversable) -> dict[str, bytes]:
    """Compile large modules for our Python, which the function has, too: a sandbox cannot cache bytecode."""
    return {f"{name}c": _compile(source, name) for name, source in _sources(package, folder).items()}


def _compile(source: bytes, name: str) -> bytes:
    code = compile(source, f"/var/task/{name}", "exec", dont_inherit=True, optimize=2)
    # The zero bytes are flags, and the time and size of a source, which is not shipped and so never compared.
    # Marshal versions above 2 depend on reference counts, so the bytes would not be reproducible.
    return MAGIC_NUMBER + bytes(12) + marshal.dumps(without_lines(code), 2)
