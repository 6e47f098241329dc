"""Reads requirements files as pip does: lines that continue, variables, included files, locations and options."""

from __future__ import annotations

import codecs
import os
import re
import shlex
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lithops_magic.errors import PackageError
from lithops_magic.packages import locations
from lithops_magic.packages.uv_command import without_password

_FILE = re.compile(r".*\.(txt|in)|requirements.*\.lock")

# These two and `_lines` follow pip's own parser, `pip/_internal/req/req_file.py`; a test compares the two.
_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_MARKED = re.compile(r"(.*?)(\s+;\s*.+)?", re.DOTALL)
_SHORT = {"-r": "requirement", "-c": "constraint", "-e": "editable", "-i": "index-url", "-f": "find-links"}
_SETTINGS = ("index-url", "extra-index-url", "find-links", "trusted-host", "only-binary", "no-binary")
_SWITCHES = ("no-index", "pre", "require-hashes")
_MET = ("prefer-binary", "use-feature")
"""Options that ask for what is done anyway, or elsewhere."""
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(slots=True)
class RequirementsFile:
    """What a requirements file and the files that it includes ask for."""

    requirements: list[str] = field(default_factory=list)
    """Lines in uv's sense, with absolute locations, and with their options, such as hashes."""
    constraints: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict, repr=False)
    """Options that hold for all packages, under their names in pip's configuration."""
    texts: list[str] = field(default_factory=list, repr=False)
    """The contents of all files."""


def is_requirements(path: Path) -> bool:
    """Whether it is a requirements file, by its name."""
    return _FILE.fullmatch(path.name) is not None


def read(path: Path) -> RequirementsFile:
    """Read a requirements file.

    Raises
    ------
    PackageError
        A line cannot be followed.
    OSError
        A file cannot be read.
    """
    found = RequirementsFile()
    _read(path, found, found.requirements, set())
    return found


def settings_of(files: Iterable[tuple[Path, bytes]]) -> tuple[tuple[str, str], ...]:
    """Return the settings in requested files, as pairs of names and values."""
    return tuple(pair for path, _ in files if is_requirements(path) for pair in read(path).settings.items())


def _read(path: Path, found: RequirementsFile, into: list[str], seen: set[tuple[Path, bool]]) -> None:
    # Files may include one another; one may be both required and a constraint.
    if (path, into is found.constraints) in seen:
        return
    seen.add((path, into is found.constraints))
    text = _decoded(path.read_bytes())
    found.texts.append(text)
    for line in _lines(text):
        if not line.startswith("-"):
            into.append(_requirement(path, line))
            continue
        for name, value in _options(path, line):
            if name in ("requirement", "constraint"):
                target = found.constraints if name == "constraint" else found.requirements
                _read(_included(path, value), found, target, seen)
            elif name == "editable":
                into.append(_requirement(path, value))
            else:
                _set(path, found.settings, name, value)


def _decoded(data: bytes) -> str:
    encoding = next((name for bom, name in _BOMS.items() if data.startswith(bom)), "utf-8")
    return data.decode(encoding, "replace")


def _lines(text: str) -> Iterator[str]:
    """Yield the lines, joined where they continue, without comments, with the values of variables."""
    joined = ""
    for line in text.splitlines():
        if line.endswith("\\") and not _COMMENT.match(line):
            joined += line.rstrip("\\")
            continue
        # A comment ends what continues.
        joined += f" {line}" if _COMMENT.match(line) else line
        if clean := _COMMENT.sub("", joined).strip():
            yield _VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[0], clean)
        joined = ""
    if clean := _COMMENT.sub("", joined).strip():
        yield clean


def _options(path: Path, line: str) -> Iterator[tuple[str, str]]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise PackageError(f"packages: {path.name}: `{without_password(line)}`: {error}.") from None
    while words:
        word = words.pop(0)
        if word[:2] in _SHORT and not word.startswith("--"):
            name, value = _SHORT[word[:2]], word[2:].removeprefix("=")
        else:
            name, _, value = word.removeprefix("--").partition("=")
        name = {"requirements": "requirement", "constraints": "constraint", "pypi-url": "index-url"}.get(name, name)
        takes = name in (*_SHORT.values(), *_SETTINGS, "use-feature")
        if not takes and name not in (*_SWITCHES, *_MET):
            raise PackageError(
                f"packages: {path.name} has the option {without_password(word)}, which is not supported."
            )
        if takes and not value:
            if not words:
                raise PackageError(f"packages: {path.name} has the option {word} without a value.")
            value = words.pop(0)
        yield name, value


def _set(path: Path, settings: dict[str, str], name: str, value: str) -> None:
    if name == "no-binary" and value != ":none:":
        raise PackageError(f"packages: {path.name} has --no-binary {value}, but packages for Lambda come as wheels.")
    if name in _MET or name == "no-binary":
        return
    if name == "find-links" and "://" not in value:
        beside = path.parent / os.path.expanduser(value)  # noqa: PTH111 - joined, it stays as it is if absolute
        value = str((beside if beside.exists() else Path(value)).resolve())
        if not Path(value).exists():
            raise PackageError(f"packages: {path.name} has --find-links {value}, which does not exist.")
    value = "1" if name in _SWITCHES else value
    if name == "index-url":
        # With pip, it replaces all indexes before it.
        settings.pop("extra-index-url", None)
    before = settings.get(name, "")
    settings[name] = value if name in ("index-url", *_SWITCHES) or not before else f"{before} {value}"


def _included(path: Path, name: str) -> Path:
    if name.startswith("file://"):
        return Path(urllib.request.url2pathname(urllib.parse.urlsplit(name).path)).resolve()
    if "://" in name:
        raise PackageError(
            f"packages: {path.name} includes {without_password(name)}: save that beside it, so that its hashes and "
            "its changes count."
        )
    return (path.parent / name).resolve()


def _requirement(path: Path, line: str) -> str:
    """Return a line with an absolute location, if it has one: as with pip, relative to the working folder."""
    line, *more = re.split(r"\s(?=--?[A-Za-z])", line, maxsplit=1)
    place, marker = _MARKED.fullmatch(line.strip()).groups()  # type: ignore[union-attr]
    beside = path.parent / place.partition("[")[0]
    if place.startswith(".") and not Path(place.partition("[")[0]).exists() and beside.exists():
        place = os.path.normpath(path.parent / place)
    found = locations.requirement_of(place) or place
    return " ".join([f"{found}{marker or ''}", *more])
