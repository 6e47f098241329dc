"""Distributions installed in editable mode: their modules are the user's own files, wherever these lie."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

from lithops_magic.packages.added import added_files
from lithops_magic.packages.folders import files_below
from lithops_magic.packages.metadata import (
    InstalledFile,
    direct_url,
    files_of,
    is_in_zip,
    metadata_folder,
    name_of,
    text,
)
from lithops_magic.packages.modules import Unit, find_unit, namespace_folders

_REDIRECTS = re.compile(r"(?:__editable__|_editable_impl_).*|[^/]*\.pth|[^/]*\.egg-link")
"""Files by which installers point to the project."""
_ENTRY = re.compile(r"=\s*([\w.]+)")


def project_folder(distribution: Distribution) -> Path | None:
    """Return the folder of a project that is installed in editable mode or lies on `sys.path`; None for others."""
    origin, info = direct_url(distribution), direct_url(distribution).get("dir_info")
    if isinstance(info, dict) and info.get("editable") and isinstance(origin.get("url"), str):
        return Path(urllib.request.url2pathname(urllib.parse.urlsplit(origin["url"]).path)).resolve()
    # `setup.py develop` and old versions of `pip install -e` leave the metadata next to the sources.
    metadata = metadata_folder(distribution)
    if metadata is None:
        return None
    is_beside = metadata.suffix == ".egg-info" or metadata.name == "EGG-INFO" or is_in_zip(distribution)
    return metadata.parent.resolve() if is_beside else None


def is_editable(distribution: Distribution) -> bool:
    """Whether an installer wrote only a pointer to the project instead of its files."""
    info = direct_url(distribution).get("dir_info")
    return isinstance(info, dict) and info.get("editable") is True


def contents_of(distribution: Distribution) -> tuple[InstalledFile, ...]:
    """Return its shippable files, listed or not; of an editable one, the metadata and the project's modules."""
    if is_editable(distribution):
        return tuple(_of_project(distribution))
    return (*files_of(distribution), *added_files(distribution))


def _of_project(distribution: Distribution) -> Iterator[InstalledFile]:
    # The pointers name folders of this machine; the modules follow instead.
    yield from (file for file in files_of(distribution) if not _REDIRECTS.fullmatch(file.name))
    for unit in units_of(distribution):
        for path in files_below(unit.path) if unit.is_package else (unit.path,):
            if not path.name.endswith(".pyc"):
                yield InstalledFile(unit.place(path), path)


def units_of(distribution: Distribution) -> Iterator[Unit]:
    """Yield the modules and packages of an editable distribution."""
    folder = project_folder(distribution)
    waiting = list(_names(distribution, folder)) if folder else []
    seen: set[str] = set()
    while folder and waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        unit = find_unit(name)
        if unit is None:
            inside = [Path(part) for part in namespace_folders(name) if Path(part).resolve().is_relative_to(folder)]
            waiting += [f"{name}.{child}" for part in inside for child in _modules_in(part)]
        elif unit.path.resolve().is_relative_to(folder) and (unit.name == name or unit.name not in seen):
            seen.add(unit.name)
            yield unit


def _names(distribution: Distribution, folder: Path) -> Iterator[str]:
    """Yield names that may be its modules."""
    name = name_of(distribution)
    yield from (text(distribution, "top_level.txt") or "").split()
    yield from (name, name.replace("-", "_"), name.replace("-", "."), name.replace("_", "."))
    yield from _ENTRY.findall(text(distribution, "entry_points.txt") or "")
    for file in files_of(distribution):
        for line in file.path.read_text("utf-8", "replace").splitlines() if file.name.endswith(".pth") else ():
            path = Path(line)
            # A project's own folder has more than its modules.
            if path.is_absolute() and path.resolve() != folder and path.resolve().is_relative_to(folder):
                yield from _modules_in(path)


def _modules_in(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".py" or (path.is_dir() and path.name.isidentifier() and path.name != "__pycache__"):
            yield path.stem
