"""Requirements that are locations, in pip's sense: folders, repositories, URLs, files."""

from __future__ import annotations

import re
import tomllib
import urllib.parse
import urllib.request
from pathlib import Path

from lithops_magic.errors import PackageError
from lithops_magic.packages.uv_command import without_password

_SUFFIXES = (".whl", ".tar.gz", ".zip")
_NAMED = re.compile(r"[A-Za-z0-9][\w.-]*\s*(\[[^\]]*\])?\s*@\s*[\w+.-]+://")
"""How a requirement with a name and a URL begins."""
_EXTRAS = re.compile(r"(.*?)(\[[\w.,\s-]*\])?", re.DOTALL)
_LIKE_SCP = re.compile(r"([\w.-]+@[\w.-]+):(?!/)(.+)")


def requirement_of(word: str) -> str:
    """Return the requirement for a location, including the package's name; empty if the word is not a location.

    Raises
    ------
    PackageError
        There is nothing that can be installed.
    """
    if " @ " in word or _NAMED.match(word):
        return ""
    if "://" in word:
        return _at(word)
    # git accepts this form, pip and uv do not.
    if scp := _LIKE_SCP.fullmatch(word):
        raise PackageError(f"packages: write git+ssh://{scp[1]}/{scp[2]} for the repository {word}.")
    place, extras = (text or "" for text in _EXTRAS.fullmatch(word).groups())  # type: ignore[union-attr]
    path = Path(place).expanduser()
    if place.endswith(_SUFFIXES):
        if not path.is_file():
            raise PackageError(f"packages: there is no file {place}.")
        return f"{_name_of_file(path.name)}{extras} @ {path.resolve().as_uri()}"
    if place in (".", "..") or place.startswith("~") or "/" in place or "\\" in place:
        return f"{_name_of_project(place, path.resolve())}{extras} @ {path.resolve().as_uri()}"
    return ""


def no_packages(word: str) -> str:
    """Explain that packages are not read from a file of this kind, and from which they are."""
    extras = word[word.find("[") :] if word.endswith("]") else ""
    return (
        f"{word} is a file from which no packages are read; give a requirements file (.txt or .in), pyproject.toml, a "
        "lock file (uv.lock, poetry.lock, Pipfile.lock or pylock.toml), a conda environment (.yml), a wheel, or the "
        f"project's folder, such as `.{extras}`"
    )


def is_project(folder: Path) -> bool:
    """Whether it contains something that can be installed."""
    return any((folder / name).is_file() for name in ("pyproject.toml", "setup.py"))


def _at(address: str) -> str:
    parts = urllib.parse.urlsplit(address)
    # For example, an option at the end of a line that continues: `six--index-url=https://…`.
    if not parts.scheme:
        raise PackageError(f"packages: `{without_password(address)}` is neither a package nor a URL.")
    fragment = urllib.parse.parse_qs(parts.fragment)
    named = fragment.pop("egg", None)
    last = parts.path.rstrip("/").rpartition("/")[2]
    guess = last.partition("@")[0].removesuffix(".git") if address.startswith("git+") else _name_of_file(last)
    if parts.scheme == "file" and (folder := Path(urllib.request.url2pathname(parts.path))).is_dir():
        guess = _name_of_project(address, folder)
    name = named[0] if named else guess
    if not re.fullmatch(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", name):
        raise PackageError(f"packages: `{address}` does not name its package: write NAME@{address}.")
    # For example, a hash, or a subdirectory of the repository.
    rest = urllib.parse.urlencode(fragment, doseq=True, safe="/")
    return f"{name} @ {address.partition('#')[0]}{'#' + rest if rest else ''}"


def _name_of_file(name: str) -> str:
    return re.split(r"-\d", name.removesuffix(".whl"), maxsplit=1)[0]


def _name_of_project(word: str, folder: Path) -> str:
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text()).get("project", {})
    except (FileNotFoundError, NotADirectoryError):
        project = {}
    except (OSError, ValueError) as error:
        raise PackageError(f"packages: {folder / 'pyproject.toml'} cannot be read: {error}.") from None
    if name := project.get("name"):
        return str(name)
    if is_project(folder):
        return folder.name
    if folder.is_file():
        raise PackageError(f"packages: {no_packages(word)}.")
    what = "has no pyproject.toml or setup.py" if folder.is_dir() else "is not a folder"
    raise PackageError(f"packages: {word} {what}: a folder of modules needs no --packages, import them in the cell.")
