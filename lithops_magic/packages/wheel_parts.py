"""Compiled parts of the user's own packages, from wheels that the user requests."""

from __future__ import annotations

import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from lithops_magic.packages.metadata import COMPILED
from lithops_magic.packages.request import Request
from lithops_magic.packages.requirements_file import is_requirements, read

_LIBRARIES = ".libs/"
"""End of the name of the folder, beside a package, with the libraries it needs (auditwheel)."""


def compiled_parts(package: str, wheels: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield the compiled files that wheels have of a package, since its shipped sources hide the wheel's."""
    start = f"{package.replace('.', '/')}/"
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            names = [name for name in wheel.namelist() if name.startswith(start) and name.endswith(COMPILED)]
            beside = [name for name in wheel.namelist() if _LIBRARIES in name] if names else []
            yield from ((name, wheel.read(name)) for name in dict.fromkeys([*names, *beside]))


def wheels_of(request: Request) -> list[Path]:
    """Return the requested wheels that are files of this machine."""
    lines = [line for path, _ in request.files if is_requirements(path) for line in read(path).requirements]
    return list(filter(zipfile.is_zipfile, _wheels([*request.requirements, *lines])))


def _wheels(lines: Iterable[str]) -> Iterator[Path]:
    for line in lines:
        try:
            url = urllib.parse.urlsplit(Requirement(line.partition(" --")[0]).url or "")
        except InvalidRequirement:
            continue
        if url.scheme == "file" and url.path.endswith(".whl"):
            yield Path(urllib.request.url2pathname(url.path))
