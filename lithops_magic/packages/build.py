"""Builds a layer: wheels and copies put in one folder, trimmed, zipped, and kept by what went in."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution
from pathlib import Path

from lithops_magic.errors import PackageError
from lithops_magic.packages.archive import zip_file
from lithops_magic.packages.cache import Cache
from lithops_magic.packages.distributions import is_pure, shippable_files
from lithops_magic.packages.modules import Unit
from lithops_magic.packages.platform import Target
from lithops_magic.packages.resolve import Resolution
from lithops_magic.packages.trim import trim
from lithops_magic.packages.uv import Unreachable, Unresolvable, Uv

FOLDER = "python"
"""Where Lambda looks for packages in a layer."""


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

    def to_json(self) -> str:
        """Return what `from_json` needs besides the zip."""
        return json.dumps({**asdict(self), "path": self.path.name})

    @classmethod
    def from_json(cls, text: str, folder: Path) -> Layer:
        """Return the layer whose zip is in `folder`."""
        fields = json.loads(text)
        packages = tuple(Shipped(**entry) for entry in fields.pop("packages"))
        notes = tuple(fields.pop("notes"))
        return cls(**{**fields, "path": folder / fields["path"]}, packages=packages, notes=notes)


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
        for unit in unowned:
            _copy(_files(unit), folder)
        trim(folder)
        files = [(path.relative_to(scratch).as_posix(), path) for path in folder.rglob("*") if path.is_file()]
        unzipped = sum(path.stat().st_size for _, path in files)
        notify(f"Building the layer ({unzipped / 2**20:,.0f} MB)")
        zip_file(scratch / "zip", files)
        packages = tuple(sorted(_measure(folder), key=lambda entry: -entry.size))
        return keep(scratch / "zip", unzipped, cache, packages, resolution.notes)


def keep(
    file: Path, unzipped: int, cache: Cache, packages: tuple[Shipped, ...] = (), notes: tuple[str, ...] = ()
) -> Layer:
    """Put a layer's zip where it is found again; the file is moved."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    size = file.stat().st_size
    return Layer(digest, cache.take(file, f"{digest}.zip"), size, unzipped, packages, notes)


def install(resolution: Resolution, uv: Uv, folder: Path, notify: Callable[[str], None]) -> None:
    """Put everything in `resolution` into `folder`, as an installer does.

    Raises
    ------
    PackageError
        A wheel cannot be fetched, or a source not be built for the target.
    """
    if resolution.fetched:
        _fetch(resolution, uv, folder, notify)
    for part in resolution.copied:
        _copy(shippable_files(part.distribution), folder)


def _fetch(resolution: Resolution, uv: Uv, folder: Path, notify: Callable[[str], None]) -> None:
    sources = {name: pin for name, pin in resolution.fetched.items() if name in resolution.built}
    try:
        if sources:
            uv.build(sources, folder, notify)
            _refuse_compiled(folder, uv.target)
        if wheels := [pin for name, pin in resolution.fetched.items() if name not in sources]:
            uv.install(wheels, folder, notify)
    except Unreachable as error:
        raise PackageError(f"The packages cannot be downloaded: {error}. Connect to the network once.") from None
    except Unresolvable as error:
        raise PackageError(f"The packages cannot be installed for {uv.target.describe()}: {error}.") from None


def _refuse_compiled(folder: Path, target: Target) -> None:
    """Refuse what was built on this machine and only runs there."""
    for metadata in folder.glob("*.dist-info"):
        distribution = Distribution.at(metadata)
        if not is_pure(distribution):
            raise PackageError(
                f"There is no wheel of {distribution.name} {distribution.version}, only source that has to be compiled "
                f"for {target.describe()}: build a wheel of it for Linux and give that with --packages PATH.whl."
            )


def _copy(files: Iterable[tuple[str, Path]], folder: Path) -> None:
    for name, source in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # It may be a link into uv's cache, which is not ours to write.
        target.unlink(missing_ok=True)
        shutil.copy(source, target)


def _files(unit: Unit) -> Iterator[tuple[str, Path]]:
    for path in unit.path.rglob("*") if unit.is_package else (unit.path,):
        if path.is_file():
            yield path.relative_to(unit.root).as_posix(), path


def _measure(folder: Path) -> Iterator[Shipped]:
    """Tell the sizes of what is installed, each top-level name counted for the distribution that listed it."""
    for metadata in folder.glob("*.dist-info"):
        distribution = Distribution.at(metadata)
        names = _top_level(distribution, folder)
        files = (path for name in names for path in [folder / name, *(folder / name).rglob("*")])
        size = sum(path.stat().st_size for path in files if path.is_file())
        yield Shipped(distribution.name, distribution.version, size)


def _top_level(distribution: Distribution, folder: Path) -> set[str]:
    told = distribution.read_text("top_level.txt")
    names = told.split() if told else [distribution.name.replace("-", "_"), distribution.name.lower()]
    stem = distribution.name.replace("-", "_").lower()
    return {path.name for path in folder.iterdir() if path.name.partition(".")[0] in names or path.name.lower() == stem}
