"""Builds a layer: wheels and copies put in one folder, trimmed, zipped, and kept by what went in."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution
from pathlib import Path

from lithops_magic.errors import PackageError
from lithops_magic.packages.archive import zip_file
from lithops_magic.packages.cache import Cache
from lithops_magic.packages.compat import is_of_numpy_1
from lithops_magic.packages.distributions import is_pure, shippable_files
from lithops_magic.packages.metadata import InstalledFile, edited_files, files_of, name_of, version_of
from lithops_magic.packages.modules import Unit
from lithops_magic.packages.platform import Target
from lithops_magic.packages.resolve import Difference, Resolution
from lithops_magic.packages.trim import trim
from lithops_magic.packages.uv import Unreachable, Unresolvable, Uv

FOLDER, PROGRAMS = "python", "bin"
"""Where Lambda looks for packages and for programs in a layer."""

_PYTHON = re.compile(rb"\A#![^\n]*python[^\n]*\n|\A#!/bin/sh\n'''exec' [^\n]*\n' '''\n")
"""How an installer begins a program, the second where the path is long."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """One distribution in a layer."""

    name: str
    version: str
    size: int
    """Bytes, trimmed and unzipped."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that is built and kept on this machine."""

    digest: str
    """SHA-256 of its zip, hexadecimal."""
    path: Path
    size: int
    """Bytes of its zip."""
    unzipped: int
    """Bytes of its files."""
    packages: tuple[Shipped, ...] = ()
    notes: tuple[str, ...] = ()
    """What the user should know, one sentence each."""
    differences: tuple[Difference, ...] = ()

    def to_json(self) -> str:
        """Return what `from_json` needs besides the zip."""
        return json.dumps({**asdict(self), "path": self.path.name})

    @classmethod
    def from_json(cls, text: str, folder: Path) -> Layer:
        """Return the layer whose zip is in `folder`."""
        fields = json.loads(text)
        packages = tuple(Shipped(**entry) for entry in fields.pop("packages"))
        notes = tuple(fields.pop("notes"))
        differences = tuple(Difference(**entry) for entry in fields.pop("differences"))
        path = folder / fields.pop("path")
        return cls(**fields, path=path, packages=packages, notes=notes, differences=differences)


def build(
    resolution: Resolution, unowned: Iterable[Unit], uv: Uv, cache: Cache, notify: Callable[[str], None]
) -> Layer:
    """Build the layer of everything in `resolution`, and of modules that no distribution owns.

    Raises
    ------
    PackageError
        A wheel cannot be fetched.
    """
    with cache.scratch() as scratch:
        folder = scratch / FOLDER
        folder.mkdir()
        install(resolution, uv, folder, notify)
        if resolution.fetched:
            _refuse_numpy_2(folder)
        for unit in unowned:
            copy(((file.name, file.path) for file in files_of_unit(unit)), folder)
        trim(folder)
        packages = tuple(sorted(_measure(folder), key=lambda entry: -entry.size))
        _move_programs(folder / PROGRAMS, scratch / PROGRAMS)
        files = [(path.relative_to(scratch).as_posix(), path) for path in scratch.rglob("*") if path.is_file()]
        unzipped = sum(path.stat().st_size for _, path in files)
        notify(f"Building the layer ({unzipped / 2**20:,.0f} MB)")
        zip_file(scratch / "zip", files)
        return keep(scratch / "zip", unzipped, cache, packages, resolution.notes, resolution.differences)


def keep(
    file: Path,
    unzipped: int,
    cache: Cache,
    packages: tuple[Shipped, ...] = (),
    notes: tuple[str, ...] = (),
    differences: tuple[Difference, ...] = (),
) -> Layer:
    """Put a layer's zip where it is found again; the file is moved."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    size = file.stat().st_size
    return Layer(digest, cache.take(file, f"{digest}.zip"), size, unzipped, packages, notes, differences)


def install(resolution: Resolution, uv: Uv, folder: Path, notify: Callable[[str], None]) -> None:
    """Put everything in `resolution` into `folder`, as an installer does.

    Raises
    ------
    PackageError
        A wheel cannot be fetched, or a source not be built for the target.
    """
    if resolution.fetched:
        _fetch(resolution, uv, folder, notify)
        _refuse_altered(folder)
    for part in resolution.copied:
        copy(shippable_files(part.distribution), folder)
    for part in resolution.kept:
        # What was edited here since it was installed is edited there as well.
        copy(((file.name, file.path) for file in edited_files(part.distribution)), folder)


def _fetch(resolution: Resolution, uv: Uv, folder: Path, notify: Callable[[str], None]) -> None:
    sources = {name: pin for name, pin in resolution.fetched.items() if name in resolution.built}
    try:
        if sources:
            uv.build(sources, resolution.hashes, folder, notify)
            _refuse_compiled(folder, uv.target)
        if wheels := [pin for name, pin in resolution.fetched.items() if name not in sources]:
            uv.install(wheels, resolution.hashes, folder, notify)
    except Unreachable as error:
        raise PackageError(f"The packages cannot be downloaded: {error}. Connect to the network once.") from None
    except Unresolvable as error:
        if "Hash mismatch" in str(error):
            raise PackageError(
                f"What is to be fetched is not what {resolution.hashes.source or 'its address'} names: {error}. "
                "Find out why before you take the new hash."
            ) from None
        raise PackageError(f"The packages cannot be installed for {uv.target.describe()}: {error}.") from None


def _refuse_altered(folder: Path) -> None:
    """Refuse a wheel that is not what its own list of files says: installers do not look.

    Raises
    ------
    PackageError
        A file in it is another one.
    """
    for metadata in sorted(folder.glob("*.dist-info")):
        distribution = Distribution.at(metadata)
        if file := next(edited_files(distribution, compiled=True), None):
            name = name_of(distribution)
            raise PackageError(
                f"{name} {version_of(distribution)} was altered or damaged: {file.name} is not the file that its "
                f"RECORD lists. `uv cache clean {name}` drops what was fetched; if it is the same then, do not use it."
            )


def _refuse_compiled(folder: Path, target: Target) -> None:
    """Refuse what was built on this machine and only runs there."""
    for metadata in folder.glob("*.dist-info"):
        distribution = Distribution.at(metadata)
        if not is_pure(distribution):
            raise PackageError(
                f"There is no wheel of {name_of(distribution)} {version_of(distribution)}, only source that has to "
                f"be compiled for {target.describe()}: build a wheel of it for Linux and give that with "
                "--packages PATH.whl."
            )


def _refuse_numpy_2(folder: Path) -> None:
    """Refuse what was compiled for NumPy 1 beside NumPy 2: it crashes.

    Raises
    ------
    PackageError
        There is such a package.
    """
    found = [Distribution.at(metadata) for metadata in folder.glob("*.dist-info")]
    numpy = next((one for one in found if name_of(one) == "numpy"), None)
    if numpy is None or version_of(numpy).startswith("1."):
        return
    for one in found:
        if is_of_numpy_1(file.path for file in files_of(one)):
            name, version = name_of(one), version_of(one)
            raise PackageError(
                f"The build of {name} {version} was compiled for NumPy 1 and crashes with NumPy {version_of(numpy)}: "
                f'ask for both with --packages "{name}=={version} numpy<2", or run the notebook on Python 3.12.'
            )


def copy(files: Iterable[tuple[str, Path]], folder: Path) -> None:
    for name, source in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # It may be a link into uv's cache, which is not ours to write.
        target.unlink(missing_ok=True)
        shutil.copy(source, target)


def files_of_unit(unit: Unit) -> Iterator[InstalledFile]:
    """Yield the files of a module or package that no distribution owns."""
    for path in unit.path.rglob("*") if unit.is_package else (unit.path,):
        if path.is_file() and "__pycache__" not in path.parts:
            yield InstalledFile(path.relative_to(unit.root).as_posix(), path)


def _measure(folder: Path) -> Iterator[Shipped]:
    """Tell the sizes of what is installed, as the distributions themselves list their files."""
    for metadata in [*folder.glob("*.dist-info"), *folder.glob("*.egg-info")]:
        distribution = Distribution.at(metadata)
        size = sum(file.path.stat().st_size for file in files_of(distribution) if file.path.is_file())
        yield Shipped(name_of(distribution), version_of(distribution), size)


def _move_programs(folder: Path, target: Path) -> None:
    """Move programs to where the function's PATH has them; Python is elsewhere there."""
    for path in folder.iterdir() if folder.is_dir() else ():
        data = path.read_bytes()
        mode = path.stat().st_mode
        target.mkdir(exist_ok=True)
        (target / path.name).write_bytes(_PYTHON.sub(b"#!/usr/bin/env python3\n", data, count=1))
        (target / path.name).chmod(mode | 0o755)
        path.unlink()
