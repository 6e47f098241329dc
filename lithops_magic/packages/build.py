"""Builds the pieces of layers: each distribution is fetched or copied, trimmed, zipped, and cached by its input."""

from __future__ import annotations

import functools
import platform
import re
import shutil
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.metadata import Distribution
from pathlib import Path

from packaging.utils import canonicalize_name

from lithops_magic.errors import NoBuild, PackageError
from lithops_magic.packages import bytecode, file_state
from lithops_magic.packages.added import added_files
from lithops_magic.packages.archive import CORES, zip_file
from lithops_magic.packages.cache import Cache
from lithops_magic.packages.compat import is_of_numpy_1
from lithops_magic.packages.distributions import installed, shippable_files
from lithops_magic.packages.editable import contents_of
from lithops_magic.packages.elf import strip
from lithops_magic.packages.fetched_checks import refuse_altered, refuse_compiled, refuse_unfit
from lithops_magic.packages.folders import files_below
from lithops_magic.packages.indexes import settings
from lithops_magic.packages.layer import Layer, Shipped, keep, recall, unzipped
from lithops_magic.packages.metadata import InstalledFile, edited_files, files_of, name_of, version_of
from lithops_magic.packages.modules import Unit
from lithops_magic.packages.resolution import Resolution
from lithops_magic.packages.trim import trim, trims
from lithops_magic.packages.uv import Uv
from lithops_magic.packages.uv_command import IndexUnreachable, Unresolvable

FORMAT = 10
"""Change it whenever the same input gives a different layer."""

_OWN = ""
"""Name of the piece with modules that no distribution owns."""

FOLDER = "python"
"""Where Lambda looks for packages in a layer."""
_THERE = f"/opt/{FOLDER}"
"""The same folder in a sandbox."""
_BIN, _PROGRAMS = "bin/", ("bin", "Scripts")
"""Where Lambda looks for programs in a layer, and the local names of that folder."""

_PYTHON = re.compile(rb"\A#![^\n]*python[^\n]*\n|\A#!/bin/sh\n'''exec' [^\n]*\n' '''\n")
"""How programs begin as installers write them; the second form is for long paths."""


Check = Callable[[int, Sequence[Shipped]], None]
"""Told the total size in bytes and the packages before anything is compressed; may refuse them."""


def build(
    resolution: Resolution,
    unowned: Sequence[Unit],
    uv: Uv,
    cache: Cache,
    notify: Callable[[str], None],
    check: Check = lambda *_: None,
) -> list[Layer]:
    """Return a piece of a layer for each distribution in `resolution`, and one for modules that no distribution owns.

    A piece is built only once and shared by all layers. If two pieces have a file of the same name, the first wins.

    Raises
    ------
    PackageError
        A wheel cannot be fetched, or the total is too large.
    """
    keys = dict(_keys(resolution, unowned, uv))
    pieces_by_name = {name: piece for name, key in keys.items() if (piece := recall(cache.read(_file(key)), cache))}
    if len(pieces_by_name) < len(keys):
        with cache.scratch() as scratch:
            own = [] if _OWN in pieces_by_name else unowned
            made = list(_prepare(_without(resolution, pieces_by_name), own, uv, scratch / FOLDER, notify))
            if bytecode.kind(uv.target):
                with ThreadPoolExecutor(CORES) as pool:
                    columns = _reads_columns(resolution)
                    made = list(pool.map(lambda one: _compiled(one, columns), made))
            shipped = [one for piece in pieces_by_name.values() for one in piece.packages]
            shipped += [Shipped(one.name, one.version, one.size) for one in made]
            size = sum(one.size for one in made)
            check(size + unzipped(pieces_by_name.values()), shipped)
            notify(f"Building the layer ({size / 2**20:,.0f} MB)")
            for one in made:
                pieces_by_name[one.key] = _zip(one, cache)
                cache.write(_file(keys[one.key]), pieces_by_name[one.key].to_json().encode())
    pieces = [pieces_by_name[name] for name in keys if name in pieces_by_name]
    _refuse_numpy_2([one for piece in pieces for one in piece.packages])
    return pieces


@dataclass(frozen=True)
class _Made:
    """The contents of a piece."""

    key: str
    """Its name among the pieces."""
    name: str
    version: str
    files: dict[str, Path]
    of_numpy_1: bool = False
    bytecode: dict[str, bytes] = field(default_factory=dict)

    @functools.cached_property
    def size(self) -> int:
        """Size in bytes, including debug symbols."""
        return sum(path.stat().st_size for path in self.files.values()) + sum(map(len, self.bytecode.values()))


def _keys(resolution: Resolution, unowned: Sequence[Unit], uv: Uv) -> Iterator[tuple[str, str]]:
    """Yield each piece's name and what it is determined by; pieces whose files win come first."""
    target = uv.target
    always = [FORMAT, target.minor, target.architecture, platform.platform() if target.here else "", trims()]
    always += [bytecode.kind(target), _reads_columns(resolution)]
    if unowned:
        yield (
            _OWN,
            file_state.key([*always, *([unit.name, *file_state.state(files_of_unit(unit))] for unit in unowned)]),
        )
    for part in resolution.copied:
        yield part.name, file_state.key([*always, part.pin, *file_state.state(contents_of(part.distribution))])
    # Fetched in the same version, then edited here: the edits are part of the piece.
    edited = {part.name: list(file_state.state(contents_of(part.distribution))) for part in resolution.unchanged}
    for name, pin in resolution.fetched.items():
        origin = [
            target.glibc,
            # The same version may be another file in another index.
            sorted(settings().items()),
            uv.given,
            resolution.hashes.lines([pin]),
            file_state.state_at(pin),
        ]
        yield name, file_state.key([*always, pin, name in resolution.built, origin, edited.get(name)])


def _file(key: str) -> str:
    return f"piece-{key}.json"


def _without(resolution: Resolution, names: Container[str]) -> Resolution:
    return replace(
        resolution,
        copied=tuple(part for part in resolution.copied if part.name not in names),
        fetched={name: pin for name, pin in resolution.fetched.items() if name not in names},
        unchanged=tuple(part for part in resolution.unchanged if part.name not in names),
    )


def _prepare(
    resolution: Resolution, unowned: Sequence[Unit], uv: Uv, folder: Path, notify: Callable[[str], None]
) -> Iterator[_Made]:
    """Yield the contents of pieces; what uv fetches is put into `folder`."""
    if unowned:
        files = {file.name: file.path for unit in unowned for file in files_of_unit(unit)}
        yield _Made(_OWN, ", ".join(unit.name for unit in unowned), "", trim(files))
    for part in resolution.copied:
        files = trim(dict(shippable_files(part.distribution)))
        yield _Made(part.name, name_of(part.distribution), part.version, files)
    if resolution.fetched:
        folder.mkdir()
        install(replace(resolution, copied=()), uv, folder, notify)
        yield from _split(folder, resolution.fetched)


def _split(folder: Path, names: Iterable[str]) -> Iterator[_Made]:
    """Yield a piece for each distribution according to its own file list; unlisted files go with the first."""
    found = [Distribution.at(metadata) for metadata in sorted(folder.glob("*.dist-info"))]
    by_name = {str(canonicalize_name(name_of(one))): one for one in found}
    # What uv wrote and no RECORD lists must not get lost.
    left = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    pieces = {}
    for name in [name for name in names if name in by_name]:
        listed = [file.name for file in files_of(by_name[name])]
        pieces[name] = {file: left.pop(file) for file in listed if file in left}
    for name, files in pieces.items():
        one, files, left = by_name[name], trim(files | left), {}
        yield _Made(name, name_of(one), version_of(one), files, is_of_numpy_1(files.values()))


def _reads_columns(resolution: Resolution) -> bool:
    names = {*resolution.fetched, *(part.name for part in resolution.copied)}
    return bytecode.READS_COLUMNS in names


def _compiled(made: _Made, columns: bool) -> _Made:
    # This machine's own bytecode of the same sources is reused where there is some.
    here = installed(made.key)
    root = str(here.locate_file("")) if here is not None else ""
    modules = {name: path for name, path in made.files.items() if not name.startswith(_BIN)}
    return replace(made, bytecode=bytecode.compiled(modules, _THERE, root, columns=columns))


def _zip(made: _Made, cache: Cache) -> Layer:
    files: dict[str, Path | bytes] = {**made.files, **made.bytecode}
    places = ((name if name.startswith(_BIN) else f"{FOLDER}/{name}", source) for name, source in files.items())
    with cache.scratch() as scratch:
        size = zip_file(scratch / "zip", places, _content, _BIN)
        # Modules that no distribution owns do not appear in lists of packages.
        shipped = (Shipped(made.name, made.version, size, made.of_numpy_1),) if made.key != _OWN else ()
        return keep(scratch / "zip", size, cache, shipped)


def _content(path: Path) -> bytes:
    """Return a file as shipped: libraries without debug data, programs with the function's Python."""
    data = path.read_bytes()
    if data.startswith(b"#!"):
        # Installers write the path of this machine's Python.
        return _PYTHON.sub(b"#!/usr/bin/env python3\n", data, count=1) if path.parent.name in _PROGRAMS else data
    return strip(data) if trims() else data


def install(resolution: Resolution, uv: Uv, folder: Path, notify: Callable[[str], None]) -> None:
    """Install everything in `resolution` into `folder`.

    Raises
    ------
    PackageError
        A wheel cannot be fetched, or source cannot be built for the target.
    """
    if resolution.fetched:
        _fetch(resolution, uv, folder, notify)
        refuse_altered(folder)
        refuse_unfit(folder, resolution.fetched, uv.target)
    for part in resolution.copied:
        copy(shippable_files(part.distribution), folder)
    for part in resolution.unchanged:
        # Apply the local edits made since installation.
        changed = [*edited_files(part.distribution), *added_files(part.distribution)]
        copy(((file.name, file.path) for file in changed), folder)


def _fetch(resolution: Resolution, uv: Uv, folder: Path, notify: Callable[[str], None]) -> None:
    sources = {name: pin for name, pin in resolution.fetched.items() if name in resolution.built}
    try:
        if sources:
            uv.build(sources, resolution.hashes, folder, notify)
            # Before any wheels are in the folder: compiled files of theirs are for the target.
            refuse_compiled(folder, uv.target)
        if wheels := [pin for name, pin in resolution.fetched.items() if name not in sources]:
            uv.install(wheels, resolution.hashes, folder, notify)
    except IndexUnreachable as error:
        raise PackageError(f"The packages cannot be downloaded: {error}. Connect to the network once.") from None
    except Unresolvable as error:
        if "Hash mismatch" in str(error):
            raise PackageError(
                f"The download does not match {resolution.hashes.source or 'its address'}: {error}. "
                "Find out why before you accept the new hash."
            ) from None
        is_unfit = "incompatible with the current platform" in str(error) and uv.target.image_is_newer
        image = " `lithops-magic image` may have what it needs." if is_unfit else ""
        raise PackageError(f"The packages cannot be installed for {uv.target.describe()}: {error}.{image}") from None


def _refuse_numpy_2(packages: Sequence[Shipped]) -> None:
    """Refuse packages compiled for NumPy 1 if NumPy 2 is shipped, because they crash with it.

    Raises
    ------
    PackageError
        There is such a package.
    """
    # Without NumPy among the packages, a layer or image provides it, whose version is unknown here.
    numpy = next((one.version for one in packages if one.name == "numpy"), "1.")
    for one in packages:
        if one.of_numpy_1 and not numpy.startswith("1."):
            raise NoBuild(
                f"The build of {one.name} {one.version} was compiled for NumPy 1 and crashes with NumPy {numpy}: "
                f'ask for both with --packages "{one.name}=={one.version} numpy<2", or run the notebook on Python 3.12.'
            )


def copy(files: Iterable[tuple[str, Path]], folder: Path) -> None:
    """Copy files to where an installer would put them."""
    for name, source in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # The existing file may be a link into uv's cache, which must not be changed.
        target.unlink(missing_ok=True)
        shutil.copy(source, target)


def files_of_unit(unit: Unit) -> Iterator[InstalledFile]:
    """Yield the files of a module or package that no distribution owns."""
    for path in files_below(unit.path) if unit.is_package else (unit.path,):
        yield InstalledFile(unit.place(path), path)
