"""Hashes in requirements and lock files: once there is one, everything fetched must match its own.

These are the rules of pip's ``--require-hashes``. Locally installed files are shipped as they are, not fetched.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, canonicalize_version

from lithops_magic.errors import PackageError
from lithops_magic.packages import locations

_STRONG = ("sha256", "sha384", "sha512")
"""The algorithms that pip accepts."""

_CONTINUED = re.compile(r"\\\r?\n")
_COMMENT = re.compile(r"(?:^|\s)#.*$", re.MULTILINE)
_OPTIONS = re.compile(r"\s--?[A-Za-z]")
_HASH = re.compile(r"--hash[ =]\s*(\S+)")
_COMMIT = re.compile(r"@[0-9a-f]{40}(?:#|$)")
_HOW = "`uv pip compile --generate-hashes` writes such a file"

_Key = tuple[str, str]
"""A canonical name and a version; no version if the requirement is a URL."""


@dataclass(frozen=True, slots=True)
class Hashes:
    """What may be fetched."""

    allowed: Mapping[_Key, tuple[str, ...]] = field(default_factory=dict)
    """Hashes such as ``sha256:…`` of all acceptable files."""
    source: str = ""
    """The files that contain them."""
    configured: str = ""
    """The setting that requires them, as a phrase."""

    @property
    def required(self) -> bool:
        """Whether everything fetched needs a hash."""
        return bool(self.source or self.configured)

    def lines(self, pins: Iterable[str]) -> list[str]:
        """Return exact requirements with their hashes, in the format of pip and uv."""
        return [" ".join([pin, *(f"--hash={one}" for one in self._of(pin))]) for pin in pins]

    def check(self, pins: Iterable[str]) -> None:
        """Refuse to fetch anything without a hash if hashes are required.

        Raises
        ------
        PackageError
            A requirement has no hash.
        """
        bare = [pin for pin in pins if not self._of(pin) and not _names_its_contents(pin)] if self.required else []
        if bare:
            why = f"{self.source} has hashes" if self.source else self.configured
            way = "Add what is missing" if self.source else "Give a file with hashes"
            out = "leave all hashes out" if self.source else "remove that setting"
            raise PackageError(
                f"packages: {why}, so everything that is fetched needs a SHA-256, and {', '.join(bare)} "
                f"{'has' if len(bare) == 1 else 'have'} none. {way} ({_HOW}), or {out}."
            )

    def _of(self, pin: str) -> tuple[str, ...]:
        return self.allowed.get(_key(Requirement(pin)), ())


def read(files: Iterable[tuple[str, str]], configured: str) -> Hashes:
    """Read the hashes in requirements files, given as name and text; `configured` says what else requires hashes.

    Raises
    ------
    PackageError
        It is unclear what a hash belongs to.
    """
    allowed: dict[_Key, tuple[str, ...]] = {}
    by = []
    for name, text in files:
        given = list(lines(text))
        found = [(line, hashes) for line in given if (hashes := _HASH.findall(line))]
        if found or "--require-hashes" in given:
            by.append(name)
        for line, hashes in found:
            key = _key(_pinned(name, _OPTIONS.split(line, maxsplit=1)[0]))
            # Weak ones are left out and not refused: a file may list both.
            strong = [one for one in hashes if one.partition(":")[0] in _STRONG]
            allowed[key] = tuple(dict.fromkeys((*allowed.get(key, ()), *strong)))
    return Hashes(allowed, " and ".join(by), configured)


def without_hashes(text: str) -> list[str]:
    """Return the requirements of a file that contains nothing but these and their hashes, without the hashes."""
    return [_OPTIONS.split(line, maxsplit=1)[0] for line in lines(text)]


def lines(text: str) -> Iterator[str]:
    """Yield the lines of a requirements file, joined where they continue, without comments."""
    # Editors on Windows begin files with a byte order mark, which may also lie between files that were joined.
    joined = _COMMENT.sub("", _CONTINUED.sub(" ", text.replace("\ufeff", "")))
    return (line.strip() for line in joined.splitlines() if line.strip())


def _pinned(file: str, text: str) -> Requirement:
    try:
        requirement = Requirement(locations.requirement_of(text) or text)
    except InvalidRequirement:
        raise PackageError(f"packages: {file} has hashes of `{text}`, which is not a requirement.") from None
    if not requirement.url and not _version(requirement):
        raise PackageError(
            f"packages: {file} has hashes of `{text}`, which is not an exact version: "
            f"write {requirement.name}==VERSION."
        )
    return requirement


def _key(requirement: Requirement) -> _Key:
    return canonicalize_name(requirement.name), _version(requirement)


def _version(requirement: Requirement) -> str:
    exact = [one.version for one in requirement.specifier if one.operator in ("==", "===") and "*" not in one.version]
    return canonicalize_version(exact[0]) if exact else ""


def _names_its_contents(pin: str) -> bool:
    """Whether a URL contains a hash: of a file, or of a repository's contents."""
    url = Requirement(pin).url or ""
    named = urllib.parse.parse_qs(urllib.parse.urlsplit(url).fragment).keys() & set(_STRONG)
    return bool(named) or (url.startswith("git+") and bool(_COMMIT.search(url)))
