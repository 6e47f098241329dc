"""Modules in a zip on `sys.path` (PEP 273), such as an egg: they are shipped from a folder with the same files."""

from __future__ import annotations

import functools
import hashlib
import os
import zipfile
from pathlib import Path

from lithops_magic.packages.cache import Cache
from lithops_magic.packages.moment import moment


def unzipped(origin: Path) -> Path:
    """Return the path of a file, extracted if it is in a local zip."""
    archive = next((folder for folder in origin.parents if folder.is_file()), None)
    if archive is None or not zipfile.is_zipfile(archive):
        return origin
    return _folder(archive, *moment(archive.stat())) / origin.relative_to(archive)


def is_zipped(file: Path) -> bool:
    """Whether a file is in a zip."""
    return unzipped(file) != file


@functools.lru_cache(maxsize=64)
def _folder(archive: Path, *status: int) -> Path:
    state = hashlib.sha256(f"{archive} {status}".encode()).hexdigest()[:16]
    cache = Cache.of_user()
    folder = cache.folder / f"unzipped-{state}"
    # Complete if it exists: it is moved there as a whole.
    if not folder.is_dir():
        with cache.scratch() as scratch, zipfile.ZipFile(archive) as opened:
            opened.extractall(scratch / "files")
            cache.take(scratch / "files", folder.name)
    os.utime(folder)
    return folder
