"""Reads lock files as exact requirements with the hashes of all acceptable files.

Entries for local folders and files are left out: such modules are sent with the job in their current state.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lithops_magic.errors import PackageError

_FILE = re.compile(r"(uv|poetry|Pipfile)\.lock|pylock\.(.+\.)?toml")


def is_lock(path: Path) -> bool:
    """Whether it is a lock file that `locked` or, for ``uv.lock``, uv itself can read, by its name.

    Other tools' lock files look alike, but their names are of other indexes.
    """
    return _FILE.fullmatch(path.name) is not None


def locked(path: Path, data: bytes) -> list[str]:
    """Return the requirements in a lock file of pip, Poetry or Pipenv, except development dependencies.

    Each is formatted like a line of a requirements file, including hashes.

    Raises
    ------
    PackageError
        It is not a lock file.
    """
    try:
        text = data.decode()
        if path.name == "Pipfile.lock":
            return list(_pipenv(json.loads(text)))
        lock = tomllib.loads(text)
        return list(_pylock(lock) if path.suffix == ".toml" else _poetry(lock))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise PackageError(f"packages: {path.name} is not a readable lock file: {reason}.") from None


def _pylock(lock: dict[str, Any]) -> Iterator[str]:
    for package in lock["packages"]:
        if vcs := package.get("vcs"):
            source = f" @ {vcs['type']}+{vcs['url']}@{vcs['commit-id']}"
        elif "archive" in package:
            source = f" @ {package['archive']['url']}"
        elif "directory" in package:
            continue
        else:
            source = f"=={package['version']}"
        files = [*package.get("wheels", ()), *(package[key] for key in ("sdist", "archive") if key in package)]
        hashes = [f"{name}:{value}" for file in files for name, value in file.get("hashes", {}).items()]
        yield _line(package["name"], source, package.get("marker"), hashes)


def _poetry(lock: dict[str, Any]) -> Iterator[str]:
    # Before Poetry 1.3, hashes were collected at the end of the file.
    formerly = lock.get("metadata", {}).get("files", {})
    for package in lock["package"]:
        origin = package.get("source", {})
        if "main" not in package.get("groups", ["main"]) or origin.get("type") in ("directory", "file"):
            continue
        if origin.get("type") == "git":
            source = f" @ git+{origin['url']}@{origin['resolved_reference']}"
        elif origin.get("type") == "url":
            source = f" @ {origin['url']}"
        else:
            source = f"=={package['version']}"
        markers = package.get("markers")
        files = package.get("files") or formerly.get(package["name"], ())
        hashes = [file["hash"] for file in files]
        yield _line(package["name"], source, markers if isinstance(markers, str) else None, hashes)


def _pipenv(lock: dict[str, Any]) -> Iterator[str]:
    for name, package in lock["default"].items():
        if "git" in package:
            source = f" @ git+{package['git']}@{package['ref']}"
        elif "://" in package.get("file", ""):
            source = f" @ {package['file']}"
        elif "path" in package or "file" in package:
            continue
        else:
            source = package["version"]
        yield _line(name, source, package.get("markers"), package.get("hashes", ()))


def _line(name: str, source: str, marker: str | None, hashes: Iterable[str]) -> str:
    requirement = f"{name}{source} ; {marker}" if marker else f"{name}{source}"
    return " ".join([requirement, *(f"--hash={one}" for one in hashes)])
