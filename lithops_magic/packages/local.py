"""The user's own modules: everything a function reaches through them, and an archive of their sources."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lithops_magic.errors import PackageError
from lithops_magic.packages import file_state, shipped_parts
from lithops_magic.packages.archive import zip_bytes
from lithops_magic.packages.cache import Cache
from lithops_magic.packages.compat import is_library, runs
from lithops_magic.packages.data import UNZIPPED_LIMIT
from lithops_magic.packages.distributions import owner_of
from lithops_magic.packages.editable import project_folder
from lithops_magic.packages.folders import files_below
from lithops_magic.packages.imports import imports_of_file, strings_of_file
from lithops_magic.packages.metadata import (
    InstalledFile,
    name_of,
    text,
    version_of,
)
from lithops_magic.packages.modules import Unit, find_file, find_unit, is_compiled, part_in_another_folder
from lithops_magic.packages.platform import Target
from lithops_magic.packages.request import Request
from lithops_magic.packages.wheel_parts import compiled_parts, wheels_of

LARGE = 2**20
"""Size in bytes from which files take so long to compress that the result is cached."""

# What programs read through `importlib.metadata`: a project's version and its plugins.
_METADATA = ("METADATA", "entry_points.txt")


@dataclass(slots=True)
class Walk:
    """Everything reached from a function through the user's own modules."""

    local: dict[str, Unit] = field(default_factory=dict)
    installed: dict[str, tuple[Unit, str]] = field(default_factory=dict)
    """By name, with the place of the import."""


def walk(names: Iterable[tuple[str, str]]) -> Walk:
    """Follow modules, given with the place of their import, through the sources of the user's own modules."""
    found = Walk()
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name, why = waiting.pop()
        if name in seen or (unit := find_unit(name)) is None:
            continue
        seen.add(name)
        if unit.kind == "installed":
            found.installed.setdefault(unit.name, (unit, why))
            changed = unit.root.stat().st_mtime_ns
            if _is_unowned(unit, changed):
                # Only its sources tell what it requires.
                waiting += _imported_by(name, unit)
            if name != unit.name:
                other = _of_another(name, unit, changed) or part_in_another_folder(name, unit)
                if other is not None:
                    found.installed.setdefault(other.name, (other, why))
        else:
            found.local[unit.name] = unit
            # Importing it runs the packages around it first, which may lie elsewhere.
            waiting += [(around, why)] if (around := unit.name.rpartition(".")[0]) else []
            waiting += _imported_by(name, unit) if unit.name != shipped_parts.READERS else ()
    return found


@functools.lru_cache(maxsize=4096)
def _is_unowned(unit: Unit, _changed: int) -> bool:
    return owner_of(unit) is None


@functools.lru_cache(maxsize=4096)
def _of_another(name: str, unit: Unit, _changed: int) -> Unit | None:
    """Return the module itself if another distribution adds it to the package around it, as `pkgutil` allows."""
    file = find_file(name)
    if file is None or not file.is_relative_to(unit.root):
        return None
    own = Unit(name, file.parent if file.stem == "__init__" else file, unit.root, "installed")
    package, owner = owner_of(unit), owner_of(own)
    return own if package and owner and name_of(package) != name_of(owner) else None


def _imported_by(name: str, unit: Unit) -> Iterator[tuple[str, str]]:
    parts = name.split(".")
    # Importing a.b.c runs a and a.b first.
    for depth in range(unit.name.count(".") + 1, len(parts) + 1):
        module = ".".join(parts[:depth])
        file = find_file(module)
        if file is None:
            continue
        if is_compiled(file):
            continue
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        yield from ((found, f"imported by {file.name}") for found in imports_of_file(file, package))


def editable_projects(units: Iterable[Unit]) -> list[importlib.metadata.Distribution]:
    """Return the distributions installed in editable mode from the folders of these units."""
    paths = [unit.path.resolve() for unit in units if not unit.path.is_relative_to(shipped_parts.FOLDER)]
    if not paths:
        return []
    return [
        distribution
        for distribution in importlib.metadata.distributions()
        if (folder := project_folder(distribution)) and any(path.is_relative_to(folder) for path in paths)
    ]


def pack(units: Iterable[Unit], projects: Iterable[importlib.metadata.Distribution], request: Request) -> bytes:
    """Return an archive of the user's own modules with their data files, and of requested ones; empty if none.

    Raises
    ------
    PackageError
        They are larger than a function may be.
    """
    files: dict[str, Path | bytes] = dict(request.data)
    for unit in units:
        paths = list(_files(unit))
        fit = _run_on_lambda(paths)
        if not fit and unit.is_package:
            files.update(compiled_parts(unit.name, wheels_of(request)))
        files.update((unit.place(path), path) for path in paths if fit or not is_compiled(path))
    for project in projects:
        folder = f"{name_of(project).replace('-', '_')}-{version_of(project)}.dist-info"
        texts = {name: text(project, name) for name in _METADATA}
        texts["METADATA"] = texts["METADATA"] or text(project, "PKG-INFO")
        files.update((f"{folder}/{name}", given.encode()) for name, given in texts.items() if given)
    return _zipped(files) if files else b""


def _zipped(files: Mapping[str, Path | bytes]) -> bytes:
    """Zip files; large ones are cached by their state, so that they are compressed only once."""
    on_disk = [InstalledFile(name, path) for name, path in files.items() if isinstance(path, Path)]
    states = sorted(file_state.state(on_disk))
    if sum(file.path.stat().st_size for file in on_disk) < LARGE:
        return zip_bytes(files.items())
    texts = {name: data for name, data in files.items() if isinstance(data, bytes)}
    cache, name = Cache.of_user(), f"own-{file_state.key([states, sorted(texts.items())])}.zip"
    if (cache.folder / name).is_file():
        os.utime(cache.folder / name)
        return (cache.folder / name).read_bytes()
    data = zip_bytes(files.items())
    cache.write(name, data)
    return data


def _run_on_lambda(files: Iterable[Path]) -> bool:
    """Whether all compiled files run on Lambda unchanged; if not, none is shipped.

    A program may not need them, or get them from a wheel or an image; a task that needs one says so.
    """
    target = Target.of("arm64" if platform.machine() == "aarch64" else "x86_64")
    return runs(filter(is_library, files), target)


def _files(unit: Unit) -> Iterator[Path]:
    if unit.name == shipped_parts.NAME:
        yield from shipped_parts.files()
        return
    if not unit.is_package:
        yield unit.path
        if not is_compiled(unit.path):
            yield from _named_beside(unit.path)
        return
    size = 0
    for path in files_below(unit.path):
        made_again = path.suffix == ".pyc" and path.with_suffix(".py").is_file()
        if made_again or any(part.startswith(".") for part in path.relative_to(unit.path).parts):
            continue
        size += path.stat().st_size
        if size > UNZIPPED_LIMIT:
            raise PackageError(
                f"The package {unit.name} ({unit.path}) has over {UNZIPPED_LIMIT // 2**20} MB of files, more than a "
                "function may have: keep its data outside of the package and read it from S3."
            )
        yield path


def _named_beside(module: Path) -> Iterator[Path]:
    """Yield data files next to the module that its source names, if it looks up its own location."""
    texts, looks = strings_of_file(module)
    for name in texts if looks else ():
        named = module.parent / name
        hidden = any(part.startswith((".", "~")) for part in Path(name).parts)
        if name and not hidden and not Path(name).is_absolute() and named.suffix != ".py":
            found = [named] if named.is_file() else sorted(named.rglob("*")) if _is_data(named) else []
            files = [path for path in found if path.is_file() and path.suffix != ".pyc"]
            # If there is too much of it, the user must provide it.
            if sum(path.stat().st_size for path in files) <= UNZIPPED_LIMIT:
                yield from files


def _is_data(folder: Path) -> bool:
    return folder.is_dir() and not (folder / "__init__.py").exists() and folder.name != "__pycache__"
