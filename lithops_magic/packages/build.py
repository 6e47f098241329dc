"""Builds a layer: wheels and copies put in one folder, trimmed, zipped, and kept by what went in."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution
from pathlib import Path

from lithops_magic.errors import PackageError
from lithops_magic.packages.archive import zip_bytes
from lithops_magic.packages.cache import Cache
from lithops_magic.packages.distributions import shippable_files
from lithops_magic.packages.local import LARGEST
from lithops_magic.packages.modules import Unit
from lithops_magic.packages.resolve import Resolution
from lithops_magic.packages.uv import Unreachable, Unresolvable, Uv

FOLDER = "python"
"""Where Lambda looks for packages in a layer."""

_METADATA = ("METADATA", "WHEEL", "entry_points.txt", "top_level.txt")
_TESTS_USED = re.compile(rb"^\s*(?:from|import)\s+[\w.]*\.tests\b", re.MULTILINE)


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
        It is larger than a function may be, or a wheel cannot be fetched.
    """
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix="build-") as scratch:
        folder = Path(scratch)
        if resolution.fetched:
            notify(f"Downloading {_enumerate(resolution.fetched)}")
            _fetch(resolution, uv, folder)
        for part in resolution.copied:
            _copy(shippable_files(part.distribution), folder)
        for unit in unowned:
            _copy(_files(unit), folder)
        _trim(folder)
        packages = tuple(sorted(_measure(folder), key=lambda entry: -entry.size))
        unzipped = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        _refuse_too_large(unzipped, packages)
        notify(f"Building the layer ({unzipped / 2**20:,.0f} MB)")
        data = zip_bytes((f"{FOLDER}/{p.relative_to(folder).as_posix()}", p) for p in folder.rglob("*") if p.is_file())
    return keep(data, unzipped, cache, packages, resolution.notes)


def keep(
    data: bytes, unzipped: int, cache: Cache, packages: tuple[Shipped, ...] = (), notes: tuple[str, ...] = ()
) -> Layer:
    """Put a layer's zip on this machine's disk."""
    digest = hashlib.sha256(data).hexdigest()
    return Layer(digest, cache.write(f"{digest}.zip", data), len(data), unzipped, packages, notes)


def _fetch(resolution: Resolution, uv: Uv, folder: Path) -> None:
    try:
        uv.install(resolution.fetched.values(), folder)
    except Unreachable as error:
        raise PackageError(f"The packages cannot be downloaded: {error}. Connect to the network once.") from None
    except Unresolvable as error:
        raise PackageError(f"The packages cannot be installed for {uv.target.describe()}: {error}.") from None


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


def _trim(folder: Path) -> None:
    """Remove what no program imports: tests, type stubs, bytecode, static libraries, programs, installers' notes."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for top in folder.iterdir():
        if top.name.endswith(".dist-info"):
            _trim_metadata(top)
        elif top.is_dir() and not _imports_its_tests(top):
            for tests in [path for path in top.rglob("tests") if (path / "__init__.py").is_file()]:
                shutil.rmtree(tests, ignore_errors=True)
    for path in list(folder.rglob("*")):
        if path.name == "__pycache__":
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix in (".pyi", ".pyc", ".a") or path.name == ".lock":
            path.unlink(missing_ok=True)


def _trim_metadata(folder: Path) -> None:
    for path in list(folder.iterdir()):
        is_licence = path.name.lower().startswith(("licen", "copying", "notice", "authors"))
        if not is_licence and path.name not in _METADATA:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _imports_its_tests(package: Path) -> bool:
    sources = (path for path in package.rglob("*.py") if "tests" not in path.parts)
    return any(b"tests" in (text := path.read_bytes()) and _TESTS_USED.search(text) for path in sources)


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


def _refuse_too_large(unzipped: int, packages: Iterable[Shipped]) -> None:
    if unzipped <= LARGEST:
        return
    largest = ", ".join(f"{entry.name} {entry.size / 2**20:,.0f} MB" for entry in list(packages)[:4])
    raise PackageError(
        f"The packages take {unzipped / 2**20:,.0f} MB, a function may have {LARGEST // 2**20} MB "
        f"(largest: {largest}). Use fewer packages in the function, or choose them with --packages."
    )


def _enumerate(names: Iterable[str], most: int = 4) -> str:
    known = sorted(names)
    return ", ".join(known[:most]) + (f" and {len(known) - most} more" if len(known) > most else "")
