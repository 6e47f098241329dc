"""Explains that no index has a package of a requested name, and what may have been meant."""

from __future__ import annotations

import difflib
import importlib.metadata
import re
from collections.abc import Iterable
from pathlib import Path

from packaging.utils import canonicalize_name

from lithops_magic.packages.indexes import Given, places
from lithops_magic.packages.metadata import name_of

_NOT_FOUND = (
    re.compile(r"\b([\w.-]+) was not found in the (?:package registry|provided package locations)"),
    # How uv says so of a name with extras.
    re.compile(r"\bthere are no versions of ([\w.-]+)\["),
)
_LIKE_A_FILE = re.compile(r"[.]|file|require|lock|environment|package|project|setup", re.I)
_ALIKE = 0.8
"""How similar a name must be to be suggested (`difflib`), from 0 to 1."""


def explain(problem: str, requested: Iterable[str], given: Given) -> str:
    """Return a sentence if `problem`, uv's explanation, is that a requested name is unknown; else nothing.

    Parameters
    ----------
    requested
        The names as the user wrote them.
    """
    unknown = {canonicalize_name(name) for one in _NOT_FOUND for name in one.findall(problem)}
    name = next((one for one in requested if canonicalize_name(one) in unknown), "")
    if not name:
        return ""
    text = f"there is no package {name} on {' or '.join(places(given))}"
    if _LIKE_A_FILE.search(name) and not Path(name).exists():
        text += f", and no file {name} here"
    alike = _installed_alike(canonicalize_name(name))
    return f"{text}{f': did you mean {alike}, which is installed here?' if alike else '.'}"


def _installed_alike(name: str) -> str:
    here = {canonicalize_name(name_of(one)): name_of(one) for one in importlib.metadata.distributions()}
    # People also leave out or add a separator.
    joined = {one.replace("-", ""): one for one in here}
    found = difflib.get_close_matches(name.replace("-", ""), joined, 1, _ALIKE)
    return here[joined[found[0]]] if found else ""
