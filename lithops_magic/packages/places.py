"""Requirements that are places, as pip takes them: folders, repositories, addresses, files; conda's environments."""

from __future__ import annotations

import re
import tomllib
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lithops_magic.errors import PackageError
from lithops_magic.packages.distributions import installed
from lithops_magic.packages.metadata import name_of, version_of

_SUFFIXES = (".whl", ".tar.gz", ".zip")
_NOT_PACKAGES = ("python", "pip", "_libgcc_mutex")


def requirement_of(word: str) -> str:
    """Return the requirement that a place is, with the name of what is there; empty if the word is no place.

    Raises
    ------
    PackageError
        There is nothing, or nothing that can be installed.
    """
    if " @ " in word:
        return ""
    if "://" in word:
        return _at(word)
    path = Path(word).expanduser()
    if word.endswith(_SUFFIXES):
        if not path.is_file():
            raise PackageError(f"packages: there is no file {word}.")
        return f"{_name_of_file(path.name)} @ {path.resolve().as_uri()}"
    if word in (".", "..") or word.startswith(("./", "../", "/", "~", ".\\", "..\\")):
        return f"{_name_of_project(word, path.resolve())} @ {path.resolve().as_uri()}"
    return ""


def _at(address: str) -> str:
    parts = urllib.parse.urlsplit(address)
    fragment = urllib.parse.parse_qs(parts.fragment)
    named = fragment.pop("egg", None)
    last = parts.path.rstrip("/").rpartition("/")[2]
    guess = last.partition("@")[0].removesuffix(".git") if address.startswith("git+") else _name_of_file(last)
    name = named[0] if named else guess
    if not re.fullmatch(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", name):
        raise PackageError(f"packages: `{address}` does not name its package: write NAME@{address}.")
    # Such as a hash, or the folder in a repository.
    rest = urllib.parse.urlencode(fragment, doseq=True, safe="/")
    return f"{name} @ {address.partition('#')[0]}{'#' + rest if rest else ''}"


def _name_of_file(name: str) -> str:
    return re.split(r"-\d", name.removesuffix(".whl"), maxsplit=1)[0]


def _name_of_project(word: str, folder: Path) -> str:
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text()).get("project", {})
    except FileNotFoundError:
        project = {}
    except (OSError, ValueError) as error:
        raise PackageError(f"packages: {folder / 'pyproject.toml'} cannot be read: {error}.") from None
    if name := project.get("name"):
        return str(name)
    if (folder / "setup.py").is_file() or (folder / "pyproject.toml").is_file():
        return folder.name
    what = "has no pyproject.toml or setup.py" if folder.is_dir() else "is not a folder"
    raise PackageError(f"packages: {word} {what}: a folder of modules needs no --packages, import them in the cell.")


def of_environment(path: Path) -> list[str]:
    """Return the requirements of a conda environment file.

    Raises
    ------
    PackageError
        It cannot be read, or has a package that is not installed here under its name: on PyPI that may be another's.
    """
    import yaml

    try:
        contents = yaml.safe_load(path.read_text(encoding="utf-8"))
        return list(_entries(path, contents["dependencies"]))
    except OSError as error:
        raise PackageError(f"packages: {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise PackageError(f"packages: {path} is not a conda environment: it has no list of dependencies.") from None


def _entries(path: Path, entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, dict):
            yield from map(str, entry.get("pip") or ())
            continue
        name = re.split(r"[=<>!~\s]", entry.rpartition("::")[2], maxsplit=1)[0]
        if name in _NOT_PACKAGES:
            continue
        here = installed(name)
        if here is None:
            raise PackageError(
                f"packages: {path.name} has conda's {name}, which is not installed here under that name: list it under "
                "`pip:` as PyPI calls it."
            )
        yield f"{name_of(here)}=={version_of(here)}"
