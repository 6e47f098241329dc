"""Finds files in installed packages that no installer put there: downloaded models, own data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution
from pathlib import Path

from lithops_magic.packages.data import UNZIPPED_LIMIT
from lithops_magic.packages.metadata import COMPILED, InstalledFile, files_of, metadata_folder, text

# Compiled files may not run on Lambda; lock files are what a downloader leaves behind.
_NEVER = (*COMPILED, ".pyc", ".lock")

_Folders = dict[str, int]
"""Folders, and when the names in each last changed."""

_cached: dict[Path, tuple[_Folders, tuple[InstalledFile, ...]]] = {}


def added_files(distribution: Distribution) -> tuple[InstalledFile, ...]:
    """Return the files in a distribution's own packages that no distribution lists.

    Empty if they are larger than a function may be: a task that needs one then says so.
    """
    folder = metadata_folder(distribution)
    # Without a list, everything in its folders counts as its own already (`metadata.files_of`).
    if folder is None or not text(distribution, "RECORD"):
        return ()
    # A folder's time changes with the names in it, which is all that matters here; `file_state` looks at contents.
    if folder in _cached and all(_changed(path) == then for path, then in _cached[folder][0].items()):
        return _cached[folder][1]
    listed = {file.name for file in files_of(distribution)}
    folders: _Folders = {}
    found = [one for top in _tops(listed) for one in _below(folder.parent, top, folders) if one.name not in listed]
    if found:
        # Only if something is left, since it reads every RECORD: distributions may share a package's folder.
        others = set(_listed_elsewhere(folder))
        found = [one for one in found if one.name not in others]
    files = tuple(found) if sum(one.size or 0 for one in found) <= UNZIPPED_LIMIT else ()
    _cached[folder] = folders, files
    return files


def _tops(listed: Iterable[str]) -> list[str]:
    """Return the outermost folders that are packages of this distribution, and not a namespace of several."""
    packages = sorted(name.removesuffix("/__init__.py") for name in listed if name.endswith("/__init__.py"))
    tops: list[str] = []
    for package in packages:
        if not any(package.startswith(f"{top}/") for top in tops):
            tops.append(package)
    return tops


def _below(root: Path, top: str, folders: _Folders) -> Iterator[InstalledFile]:
    for folder, names, files in os.walk(root / top):
        folders[folder] = _changed(folder)
        names[:] = [name for name in names if name != "__pycache__" and not name.startswith(".")]
        for name in files:
            path = Path(folder, name)
            if not name.startswith(".") and not name.endswith(_NEVER) and path.is_file():
                yield InstalledFile(path.relative_to(root).as_posix(), path, size=path.stat().st_size)


def _listed_elsewhere(own: Path) -> Iterator[str]:
    """Yield what the other distributions beside this one list."""
    for other in own.parent.glob("*.dist-info"):
        if other != own:
            yield from (file.name for file in files_of(Distribution.at(other)))


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - twice as fast
    except OSError:
        return 0
