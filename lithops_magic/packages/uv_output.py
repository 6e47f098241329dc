"""Reads what uv writes: requirements, and its explanations of why there is no solution."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lithops_magic.packages.uv_command import Unresolvable

_NO_WHEEL = re.compile(
    r"([A-Za-z0-9][\w.-]*?)(?:\[[^]]*\])?(?:[=<>!~]=?\S*)? ha(?:s|ve) no (?:usable wheels|wheels with a match)"
)
_AT_ADDRESS = re.compile(r"Building source distributions for `([^`]+)` is disabled")
_OTHER_NAME = re.compile(r"Package metadata name `(.+?)` does not match given name `(.+?)`")


def renamed(text: str, error: Unresolvable) -> str:
    """Return requirements with the name that the package at an address has; empty if that is not the error.

    The names of folders and repositories are only guesses.
    """
    names = _OTHER_NAME.search(str(error))
    if not names:
        return ""
    guess = "[-_.]+".join(names[2].split("-"))
    changed = re.sub(rf"(?mi)^{guess}(?=\s*(\[[^]]*\]\s*)?@)", names[1], text)
    return changed if changed != text else ""


def without_wheel(error: Unresolvable) -> Iterator[str]:
    """Yield the canonical names of packages without a wheel for the platform, in some or all versions."""
    return map(canonicalize_name, _NO_WHEEL.findall(str(error)))


def pins_in(output: str) -> Iterator[str]:
    """Yield the requirements in the output of `uv pip compile`."""
    for line in output.splitlines():
        text = line.partition(" #")[0].strip().rstrip("\\").strip()
        if not text or text.startswith(("#", "--")):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        # It applies to the target, for which uv resolved.
        requirement.marker = None
        yield str(requirement)


def from_source(pins: Iterable[str]) -> Iterator[str]:
    """Yield the canonical names of requirements at a URL that is not a wheel."""
    for requirement in map(Requirement, pins):
        if requirement.url and not urllib.parse.urlsplit(requirement.url).path.endswith(".whl"):
            yield canonicalize_name(requirement.name)


def source_at_address(error: Unresolvable) -> Iterator[str]:
    """Yield the canonical names of what is at a URL and has to be built."""
    return map(canonicalize_name, _AT_ADDRESS.findall(str(error)))
