"""What the user requests with `--packages`: names, pins, files, or nothing at all."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lithops_magic.errors import PackageError
from lithops_magic.packages import conda, file_state, locations
from lithops_magic.packages.data import Data, listed
from lithops_magic.packages.distributions import installed
from lithops_magic.packages.hashes import without_hashes
from lithops_magic.packages.lockfiles import is_lock
from lithops_magic.packages.missing_module import distribution_of
from lithops_magic.packages.modules import find_unit
from lithops_magic.packages.requirements_file import is_requirements, read

NONE = "none"

_FILES = (".txt", ".in", ".toml", ".lock")
_OPTION = re.compile(r"(-r|-e|--requirement=?|--editable=?)(.*)")
_COMMAND = re.compile(r"((python\S* -m|uv|%|!) ?)*(pip\S*|conda|mamba|uv|poetry) (install|add) ")
_VERSION = re.compile(r"v?\d+(\.\d+)+")
_LIKE_A_FILE = re.compile(r"require|constraint|environment|lock", re.I)
"""Names that someone may have registered because files are called so."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ship besides, or instead of, the detected needs; hashable, with files by their contents."""

    nothing: bool = False
    """Ship no distributions at all, not even detected ones."""
    requirements: tuple[str, ...] = ()
    files: tuple[tuple[Path, bytes], ...] = ()
    """Requirements files, pyproject.toml or lock files, each with its contents and included files."""
    data: Data = ()
    """Files for the tasks' working folder."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What the user should know about it, one sentence each."""

    @property
    def names(self) -> frozenset[str]:
        """Canonical names of everything requested by name."""
        return frozenset(canonicalize_name(Requirement(text).name) for text in self.requirements)

    @classmethod
    def parse(cls, packages: str | Iterable[str] | None, files: str | Iterable[str] | None = None) -> Request:
        """Parse ``numpy==2.1 polars``, ``none``, ``requirements.txt`` or a list of these, and paths of data.

        Raises
        ------
        PackageError
            A word is neither a requirement nor a file, or a data file does not exist.
        """
        data = listed(files)
        words = _words(packages) if isinstance(packages, str) else list(packages or ())
        if words == [NONE]:
            return cls(nothing=True, data=data)
        if command := _COMMAND.match(" ".join(words)):
            raise PackageError(f"packages: leave out `{command[0].strip()}`: give only what follows it.")
        requirements: list[str] = []
        requested: list[tuple[Path, bytes]] = []
        notes: list[str] = []
        for option, word in _with_options(words, notes):
            if option == "-r" or (word.endswith(_FILES) and "://" not in word):
                requested.append(_read(word))
            else:
                requirements.append(_requirement(word))
        return cls(requirements=tuple(requirements), files=tuple(requested), data=data, notes=tuple(notes))


def _words(text: str) -> list[str]:
    # Spaces are allowed around a comparison, and after the comma between two.
    return re.sub(r"\s*(===?|[<>~!]=|[<>,])\s*", r"\1", text).split()


def _with_options(words: Iterable[str], notes: list[str]) -> Iterator[tuple[str, str]]:
    """Yield words, each with pip's option before it, `-r` or `-e`, or nothing.

    Conda environment files are replaced by their contents; what these leave out is added to `notes`.
    """
    option = ""
    for given in words:
        found = _OPTION.fullmatch(given)
        option, word = (f"-{found[1].strip('-')[0]}", found[2]) if found else (option, given)
        if not word:
            continue
        if word.endswith((".yml", ".yaml")):
            listed, note = conda.words_of(Path(word).expanduser())
            notes += [note] if note else []
            yield from (("", one) for one in listed)
        else:
            # What follows -e is a folder or an address, never a name.
            yield option, f"./{word}" if option == "-e" and "/" not in word and word[0].isalnum() else word
        option = ""
    if option:
        raise PackageError(f"packages: {option} needs a {'file' if option == '-r' else 'folder'} after it.")


def _read(name: str) -> tuple[Path, bytes]:
    try:
        path = Path(name).expanduser().resolve()
        data = _contents(path) if is_requirements(path) else path.read_bytes()
    except OSError as error:
        raise PackageError(f"packages: {error.filename or name} cannot be read: {error.strerror}.") from None
    if path.name == "pyproject.toml":
        _check_project(path, data)
    elif not is_requirements(path) and not is_lock(path):
        raise PackageError(f"packages: {locations.no_packages(name)}.")
    return path, data


def _contents(path: Path) -> bytes:
    """Return the contents of a requirements file, all that it includes, and a hash of what these refer to."""
    listed = read(path)
    lines = without_hashes("\n".join(listed.requirements))
    states = [file_state.state_at(line) for line in lines if " @ " in line]
    facts = file_state.key([listed.requirements, listed.constraints, sorted(listed.settings.items()), states])
    return "\n".join([*listed.texts, f"# {facts}"]).encode()


def _check_project(path: Path, data: bytes) -> None:
    try:
        project = tomllib.loads(data.decode()).get("project", {})
    except ValueError as error:
        raise PackageError(f"packages: {path} cannot be read: {error}.") from None
    if "dependencies" not in project:
        # The dependencies are dynamic, or in a table that only the project's own tool understands.
        raise PackageError(
            f"packages: {path} has no list of dependencies under [project]: give a requirements file, or the lock file "
            "that the project's tool writes."
        )


def _requirement(word: str) -> str:
    if word == NONE:
        raise PackageError("packages: `none` cannot be combined with others; leave out one or the other.")
    if place := locations.requirement_of(word):
        return str(Requirement(place))
    try:
        requirement = Requirement(word)
        _refuse_slips(requirement, word)
        _refuse_own(requirement, word)
        return str(requirement)
    except InvalidRequirement:
        raise PackageError(
            f"packages: `{word}` is not a requirement; write names with or without versions, such as "
            "`numpy==2.1 polars`, or a requirements file, a wheel, a folder or an address, or `none`."
        ) from None


def _refuse_slips(requirement: Requirement, word: str) -> None:
    """Refuse what is read as a name or an address, but was hardly meant as one.

    Raises
    ------
    PackageError
        It is such a slip.
    """
    name, url = requirement.name, requirement.url or ""
    if _VERSION.fullmatch(word):
        raise PackageError(f"packages: {word} is a version: write NAME=={word}.")
    if _VERSION.fullmatch(url):
        raise PackageError(f"packages: {word} names no address: for a version, write {name}=={url}.")
    if canonicalize_name(name) == "python":
        raise PackageError(
            f"packages: {word} is not a package. Tasks run on the notebook's Python, 3.{sys.version_info.minor}."
        )


def _refuse_own(requirement: Requirement, word: str) -> None:
    """Refuse a bare name of something local that is not a distribution: on an index, it may be someone else's package.

    Raises
    ------
    PackageError
        It is such a name.
    """
    name = requirement.name
    if requirement.url or requirement.specifier or installed(name):
        return
    others = f"{name}>=0 is the package of that name in the index"
    if _LIKE_A_FILE.search(name) and (file := next(Path().glob(f"{name}.*"), None)):
        raise PackageError(f"packages: write {file} for the file. ({others}.)")
    if Path(name).is_file():
        raise PackageError(f"packages: {locations.no_packages(word)}. ({others}.)")
    if locations.is_project(Path(name)):
        raise PackageError(f"packages: {word} is not installed here: write ./{word} for the folder. ({others}.)")
    unit = find_unit(name) if name.isidentifier() else None
    if unit is not None and (owner := distribution_of(name)):
        raise PackageError(f"packages: {name} is a module of {owner}: write that. ({others}.)")
    if unit is not None and unit.kind == "local":
        raise PackageError(
            f"packages: {name} is your own module ({unit.path}), which is shipped where the cell imports it: leave it "
            f"out. ({others}.)"
        )
