"""Metadata of installed distributions: read without trusting their authors, and without raising exceptions."""

from __future__ import annotations

import base64
import csv
import functools
import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement

from lithops_magic.packages.folders import files_below
from lithops_magic.packages.moment import Moment, moment
from lithops_magic.packages.zipped import unzipped

COMPILED = (".so", ".pyd", ".dll", ".dylib")

_FOLDER = re.compile(r"(\w.*?)(?:-(\d[^-]*).*)?")
"""A metadata folder's name without its suffix, such as ``name-1.0`` or ``name-1.0-py3.11``."""
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)")
_REQUIRES = re.compile(r"^Requires-Dist:[ \t]*(\S.*?)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_SUFFIXES = (".py", ".pyc", *EXTENSION_SUFFIXES)
_NEVER = (".pyc", ".lock")
_SCRIPTS = re.compile(r"(?:\.\./)+(?:bin|Scripts)/([^/]+)")
_MODULE = re.compile(r"\w[\w.-]{,99}(?:/\w[\w.-]{,99})*")
"""A module's name in ``top_level.txt``; anything else leads elsewhere."""
_ODD = re.compile(r"(?:\A|/)(?:\.|/|\Z)|[:\0]")
"""A path that may not refer to the file it seems to."""


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A file written by an installer."""

    name: str
    """Relative to a folder of packages; ``bin/…`` for a program."""
    path: Path
    digest: str = ""
    """As in RECORD, such as ``sha256=…``; empty if there is none."""
    size: int | None = None
    """Size in bytes, as in RECORD."""


def name_of(distribution: Distribution) -> str:
    """Return the distribution's name; without METADATA, the one in its folder name."""
    name = _field(distribution, "Name")
    return name if _NAME.fullmatch(name) else _from_folder(distribution)[0] or "unknown"


def version_of(distribution: Distribution) -> str:
    """Return its version; without METADATA, the one in its folder name."""
    version = _field(distribution, "Version")
    # It becomes part of a folder's name.
    return (version if "/" not in version else "") or _from_folder(distribution)[1] or "0"


def requires_of(distribution: Distribution) -> Iterator[Requirement]:
    """Yield a distribution's requirements; if one is invalid, only its name counts."""
    try:
        lines = distribution.requires or []
    except Exception:  # such as a line that cannot be decoded
        # The rest of the metadata is usually fine: better its requirements than none.
        lines = _REQUIRES.findall((text(distribution, "METADATA") or "").partition("\n\n")[0])
    for line in lines:
        try:
            yield Requirement(line)
        except InvalidRequirement:
            if match := _NAME.match(line):
                yield _lenient(match[1], line)


def applies(marker: Marker | None, environment: Mapping[str, str]) -> bool:
    """Whether a requirement applies; an invalid marker counts as true."""
    try:
        return marker is None or marker.evaluate(dict(environment))
    except (UndefinedComparison, UndefinedEnvironmentName):
        return True


def direct_url(distribution: Distribution) -> Mapping[str, Any]:
    """Return where it was installed from, if not from an index (PEP 610)."""
    try:
        origin = json.loads(text(distribution, "direct_url.json") or "{}")
    except ValueError:
        return {}
    return origin if isinstance(origin, dict) else {}


def archive_hash(distribution: Distribution) -> str:
    """Return the SHA-256 of the archive it was installed from; empty if not recorded (PEP 610)."""
    info = direct_url(distribution).get("archive_info")
    if not isinstance(info, dict):
        return ""
    hashes = info.get("hashes")
    found = hashes.get("sha256") if isinstance(hashes, dict) else str(info.get("hash", "")).removeprefix("sha256=")
    return found if isinstance(found, str) else ""


def text(distribution: Distribution, name: str) -> str | None:
    """Return a file of its metadata; None if it is missing or unreadable."""
    try:
        return distribution.read_text(name)
    except (OSError, ValueError):
        folder = metadata_folder(distribution)
        file = folder / name if folder else None
        # Most text in other encodings is still usable.
        return file.read_text("utf-8", "replace") if file and name and file.is_file() else None


def files_of(distribution: Distribution) -> tuple[InstalledFile, ...]:
    """Return its shippable files, without bytecode that Python can regenerate."""
    folder = metadata_folder(distribution)
    if folder is None:
        return ()
    # Whatever an installer does, it rewrites one of these.
    told = [folder / name for name in ("RECORD", "installed-files.txt", "top_level.txt")]
    states = tuple(moment(path.stat()) if path.is_file() else None for path in told)
    return _files_of(folder, states)


@functools.lru_cache(maxsize=2048)
def _files_of(folder: Path, _states: tuple[Moment | None, ...]) -> tuple[InstalledFile, ...]:
    distribution = Distribution.at(folder)
    listed = list(_recorded(distribution) or _noted(distribution, folder) or _guessed(distribution, folder))
    sources = {file.name for file in listed}
    return tuple(file for file in listed if not _is_generated(file.name, sources))


def edited_files(distribution: Distribution, *, compiled: bool = False) -> Iterator[InstalledFile]:
    """Yield the files that differ from what the installer wrote; compiled ones only on request."""
    for file in files_of(distribution):
        algorithm, _, told = file.digest.partition("=")
        counts = compiled or not file.name.endswith(COMPILED)
        if algorithm == "sha256" and counts and file.path.is_file():
            found = base64.urlsafe_b64encode(hashlib.sha256(file.path.read_bytes()).digest()).decode().rstrip("=")
            # Installers generate the programs in bin/.
            if found != told.rstrip("=") and not file.name.startswith("bin/"):
                yield file


def _is_generated(name: str, sources: set[str]) -> bool:
    folder, _, file = name.rpartition("/")
    if f"/{folder}".endswith("/__pycache__"):
        return True
    if file in _NEVER or not file.endswith(_NEVER):
        return False
    return not file.endswith(".pyc") or name[:-1] in sources


def _recorded(distribution: Distribution) -> list[InstalledFile]:
    """Read RECORD line by line, skipping lines without a usable path."""
    found = []
    root = Path(str(distribution.locate_file("")))
    for row in csv.reader((text(distribution, "RECORD") or "").splitlines()):
        if row and row[0] and (name := _place(row[0])):
            size = int(row[2]) if len(row) > 2 and row[2].isdecimal() else None
            found.append(InstalledFile(name, root / row[0], row[1] if len(row) > 1 else "", size))
    return found


def _noted(distribution: Distribution, folder: Path) -> list[InstalledFile]:
    """Read the list that ``setup.py install`` writes, relative to the metadata folder."""
    found = []
    for line in (text(distribution, "installed-files.txt") or "").splitlines():
        path = Path(folder, line)
        normal = Path(*_normalized(path.parts))
        if line and normal.is_relative_to(folder.parent):
            found.append(InstalledFile(normal.relative_to(folder.parent).as_posix(), normal))
    return found


def _guessed(distribution: Distribution, folder: Path) -> Iterator[InstalledFile]:
    """Guess the files if there is no list: the metadata, and the modules named in it or after the distribution."""
    root = folder.parent
    names = (text(distribution, "top_level.txt") or "").split()
    names = names or [name_of(distribution), name_of(distribution).replace("-", "_"), name_of(distribution).lower()]
    tops = [root / name for name in dict.fromkeys(names) if _MODULE.fullmatch(name)]
    tops += [top.with_name(top.name + suffix) for top in list(tops) for suffix in _SUFFIXES]
    if not any(top.exists() for top in tops):
        return
    for top in [folder, *tops]:
        for path in files_below(top) if top.is_dir() else [top]:
            if path.is_file():
                yield InstalledFile(path.relative_to(root).as_posix(), path)


def _place(name: str) -> str:
    """Return where a file listed in RECORD goes in a folder of packages; empty if nowhere."""
    posix = name.replace("\\", "/")
    if not _ODD.search(posix):  # almost always
        return posix
    if script := _SCRIPTS.fullmatch(posix):
        return f"bin/{script[1]}"
    path = PurePosixPath(posix)
    nowhere = path.is_absolute() or ".." in path.parts or ":" in posix or "\0" in posix
    return "" if nowhere else path.as_posix()


def _normalized(parts: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for part in parts:
        if part == ".." and found:
            found.pop()
        elif part != ".":
            found.append(part)
    return found


def _lenient(name: str, given: str) -> Requirement:
    requirement = Requirement(name)
    try:
        requirement.marker = Marker(given.partition(";")[2])
    except ValueError:
        requirement.marker = None
    return requirement


def _field(distribution: Distribution, name: str) -> str:
    # An empty name reads the metadata themselves where they are a file, `NAME.egg-info`, as importlib.metadata does.
    given = text(distribution, "METADATA") or text(distribution, "PKG-INFO") or text(distribution, "") or ""
    head = given.partition("\n\n")[0]
    found = re.search(rf"^{name}:[ \t]*(\S+)[ \t]*$", head, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def metadata_folder(distribution: Distribution) -> Path | None:
    """Return its metadata folder, extracted if it is in a zip on `sys.path`; None if it has none."""
    path = _path(distribution)
    if isinstance(path, zipfile.Path):
        return unzipped(Path(str(path)))
    return path if isinstance(path, Path) else None


def is_in_zip(distribution: Distribution) -> bool:
    """Whether its metadata is in a zip on `sys.path`."""
    return isinstance(_path(distribution), zipfile.Path)


def _path(distribution: Distribution) -> object:
    return getattr(distribution, "_path", None)  # there is no public API for it


def _from_folder(distribution: Distribution) -> tuple[str, str]:
    """Return the name and the version in the name of its metadata folder."""
    folder = metadata_folder(distribution)
    found = _FOLDER.fullmatch(folder.stem) if folder else None
    return (found[1], found[2] or "") if found else ("", "")
