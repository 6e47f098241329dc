"""Finds wheels that run on a target although uv has no platform that says so: it has none from glibc 2.18 to 2.27."""

from __future__ import annotations

import tomllib
import urllib.parse
from collections.abc import Iterable, Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lithops_magic.packages.compat import accepts
from lithops_magic.packages.platform import Target


def addressed(lock: str, target: Target) -> tuple[str, str] | None:
    """Return, as requirements by version and by address, the first wheel that fits of the first package in a lock file.

    Parameters
    ----------
    lock
        A resolution for a newer C library as ``pylock.toml`` (PEP 751).
    """
    for package in tomllib.loads(lock).get("packages", [])[:1]:
        for wheel in package.get("wheels", []):
            url = str(wheel.get("url", ""))
            if accepts(target, urllib.parse.unquote(urllib.parse.urlsplit(url).path)):
                return f"{package['name']}=={package['version']}", f"{package['name']} @ {url}"
    return None


def asked_for(name: str, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the lines that require a package by version, each with its requirement, without options such as hashes."""
    for line in lines:
        text = line.partition(" --")[0]
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) == name and not requirement.url:
            yield line, text


def at_address(line: str, address: str) -> str:
    """Return a line of requirements with an address instead of versions, and its extras, marker and options."""
    text, separator, options = line.partition(" --")
    requirement = Requirement(text)
    url = Requirement(address).url
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras} @ {url}{marker}{separator}{options}"
