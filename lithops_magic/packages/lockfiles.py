"""Reads lock files as requirements of one exact version each."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lithops_magic.errors import PackageError


def is_lock(path: Path) -> bool:
    """Whether it is a file that `locked` or, for ``uv.lock``, uv itself reads."""
    return path.suffix == ".lock" or (path.name.startswith("pylock.") and path.suffix == ".toml")


def locked(path: Path, data: bytes) -> list[str]:
    """Return the requirements that a lock file of pip, Poetry or Pipenv holds, without those for development.

    Raises
    ------
    PackageError
        It is not one.
    """
    try:
        text = data.decode()
        if path.name == "Pipfile.lock":
            return list(_pipenv(json.loads(text)))
        lock = tomllib.loads(text)
        return list(_pylock(lock) if path.suffix == ".toml" else _poetry(lock))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PackageError(f"packages: {path.name} is no lock file that can be read: {error}.") from None


def _pylock(lock: dict[str, Any]) -> Iterator[str]:
    for package in lock["packages"]:
        yield _line(package["name"], f"=={package['version']}", package.get("marker"))


def _poetry(lock: dict[str, Any]) -> Iterator[str]:
    for package in lock["package"]:
        if "main" in package.get("groups", ["main"]):
            markers = package.get("markers")
            yield _line(package["name"], f"=={package['version']}", markers if isinstance(markers, str) else None)


def _pipenv(lock: dict[str, Any]) -> Iterator[str]:
    for name, package in lock["default"].items():
        yield _line(name, package["version"], package.get("markers"))


def _line(name: str, version: str, marker: str | None) -> str:
    return f"{name}{version} ; {marker}" if marker else f"{name}{version}"
