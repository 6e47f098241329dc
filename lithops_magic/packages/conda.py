"""Reads conda environment files: the packages installed here, and what pip is to install."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion

from lithops_magic.errors import PackageError
from lithops_magic.packages.distributions import installed
from lithops_magic.packages.metadata import name_of, version_of

_OF_PYTHON = re.compile(
    r"|python|python_abi|pip|setuptools|wheel|nodefaults|_(libgcc|openmp)_mutex|ld_impl_[\w-]+|ca-certificates|openssl"
    r"|lib(expat|ffi|gomp|lzma|mpdec|nsl|sqlite|uuid|xcrypt|zlib)|lib(gcc|stdcxx)(-ng)?|bzip2|expat|icu|ncurses|readline"
    r"|sqlite|tk|tzdata|xz|zlib"
)
"""What conda installs for Python itself, and lists when it exports an environment: Lambda's Python has its own."""
_ENTRY = re.compile(r"(?:[^\s=<>!~\[]*::)?\s*([\w.-]*)\s*(.*)", re.DOTALL)
_IN_BRACKETS = re.compile(r"""version\s*=\s*['"]?([^'"\]]*)""")
_OF_FILES = ("-r", "--requirement", "-e", "--editable")
"""pip's options that precede a file or folder."""


def words_of(path: Path) -> tuple[list[str], str]:
    """Return the requirements of an environment file as words for ``--packages``, and a note on what is left out.

    Raises
    ------
    PackageError
        It cannot be read, or a package is not installed here under its name: PyPI may have another one of that name.
    """
    import yaml

    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    except OSError as error:
        raise PackageError(f"packages: {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        entries = None
    if not isinstance(entries, list):
        raise PackageError(f"packages: {path} is not a conda environment: it has no list of dependencies.")
    found = [(entry, list(_words(path, entry))) for entry in entries]
    left_out = [entry for entry, words in found if isinstance(entry, str) and not words]
    return [word for _, words in found for word in words], _note(path, left_out)


def _note(path: Path, left_out: list[str]) -> str:
    if not left_out:
        return ""
    some = ", ".join(left_out[:3]) + (f" and {len(left_out) - 3} more" if len(left_out) > 3 else "")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    have = f"tasks have the notebook's Python {python}, and wheels bring their libraries"
    return f"{path.name}: {some} not shipped: {have}"


def _words(path: Path, entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield from _of_conda(path, entry)
        return
    lines = entry.get("pip") if isinstance(entry, dict) else None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise PackageError(f"packages: {path.name}: {entry!r} is neither a package nor a list `pip:`.")
    for line in lines:
        yield _of_pip(path, line.strip())


def _of_conda(path: Path, entry: str) -> Iterator[str]:
    found = _ENTRY.fullmatch(entry.strip())
    name, rest = found.groups() if found else (entry, "")
    here = installed(name)
    if _OF_PYTHON.fullmatch(name.lower()) or (here is None and _has_no_modules(name.lower())):
        return
    if here is None:
        raise PackageError(
            f"packages: {path.name} has conda's {name}, which is not installed here under that name: list it under "
            "`pip:` as PyPI calls it, or leave it out if it is not a Python package: wheels bring their own libraries, "
            "and other system software takes a container image (`lithops-magic image`)."
        )
    # The file asks for a version, and tasks get the notebook's: a difference must be seen here, not in the results.
    if not _fits(version_of(here), rest):
        raise PackageError(
            f"packages: {path.name} has conda's {entry}, but {version_of(here)} is installed here, and tasks get what "
            "the notebook has: make the two the same."
        )
    # As installed here, under the name that PyPI knows: conda's own builds do not go into a layer.
    yield f"{name_of(here)}=={version_of(here)}"


def _has_no_modules(name: str) -> bool:
    """Whether conda has installed it here without any Python module: a library, which the wheels that need it bring."""
    for record in Path(sys.prefix, "conda-meta").glob(f"{name}-*.json"):
        try:
            found = json.loads(record.read_bytes())
            if found["name"] == name:
                return not any("site-packages/" in file for file in found["files"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return False


def _fits(version: str, wanted: str) -> bool:
    """Whether conda would accept a version; a requirement that specifies more than versions counts as met."""
    if wanted.startswith("["):
        wanted = found[1] if (found := _IN_BRACKETS.search(wanted)) else ""
    wanted = re.sub(r"^(==?|[<>!~]=?)\s+", r"\1", wanted.strip()).split(" ")[0]
    if re.match(r"=[^=]", wanted):  # such as =1.2=py311_0, where =1.2 is any 1.2
        wanted = f"=={wanted[1:].partition('=')[0].rstrip('*.')}.*"
    elif wanted and wanted[0].isalnum():
        wanted = f"=={wanted}"
    try:
        # Conda does not treat pre-releases specially.
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


def _of_pip(path: Path, line: str) -> str:
    """Return a line for pip; files and folders are relative to the environment file."""
    option, _, rest = line.replace("=", " ", 1).partition(" ") if line.startswith("--") else line.partition(" ")
    if option in _OF_FILES:
        line = rest.strip()
    elif line.startswith("-"):
        raise PackageError(f"packages: {path.name} gives pip the option {option}: put that in pip's configuration.")
    is_place = option in _OF_FILES or line.startswith(".") or (path.parent / line).is_file()
    return os.path.normpath(path.parent.resolve() / line) if is_place and "://" not in line else line
