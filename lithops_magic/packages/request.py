"""What the user asks for with `--packages`: names, pins, files, or nothing at all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from lithops_magic.errors import PackageError

NONE = "none"


@dataclass(frozen=True, slots=True)
class Request:
    """What to ship beside, or instead of, what is found; hashable, files by their contents."""

    nothing: bool = False
    """Ship no distributions, not even those that are found."""
    requirements: tuple[str, ...] = ()
    files: tuple[tuple[Path, bytes], ...] = ()
    """Requirements files, pyproject.toml or lock files."""

    @classmethod
    def parse(cls, packages: str | Iterable[str] | None) -> Request:
        """Parse ``numpy==2.1 polars``, ``none``, ``requirements.txt`` or a list of such.

        Raises
        ------
        PackageError
            A word is neither a requirement nor a file.
        """
        words = _words(packages) if isinstance(packages, str) else list(packages or ())
        if words == [NONE]:
            return cls(nothing=True)
        requirements: list[str] = []
        files: list[tuple[Path, bytes]] = []
        for word in words:
            if word.endswith((".txt", ".in", ".toml", ".lock")):
                files.append(_read(word))
            else:
                requirements.append(_requirement(word))
        return cls(requirements=tuple(requirements), files=tuple(files))


def _words(text: str) -> list[str]:
    # A blank may stand around the comparison, and after the comma between two of them.
    return re.sub(r"\s*(===?|[<>~!]=|[<>,])\s*", r"\1", text).split()


def _read(name: str) -> tuple[Path, bytes]:
    path = Path(name).expanduser().resolve()
    try:
        return path, path.read_bytes()
    except OSError as error:
        raise PackageError(f"packages: {name} cannot be read: {error.strerror}.") from None


def _requirement(word: str) -> str:
    if word == NONE:
        raise PackageError("packages: `none` stands alone; leave it out, or leave out the others.")
    if word.endswith(".whl"):
        path = Path(word).expanduser().resolve()
        if not path.is_file():
            raise PackageError(f"packages: there is no file {word}.")
        return f"{path.name.partition('-')[0]} @ {path.as_uri()}"
    try:
        return str(Requirement(word))
    except InvalidRequirement:
        raise PackageError(
            f"packages: `{word}` is no requirement; write names with or without versions, such as "
            "`numpy==2.1 polars`, or a requirements file, or `none`."
        ) from None
