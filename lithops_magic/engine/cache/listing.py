"""Lists what is in the cache, function by function, and deletes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby

from lithops_magic.aws.storage.bucket import CACHE
from lithops_magic.aws.storage.objects import Found
from lithops_magic.config.lifetime import DAY
from lithops_magic.engine.cache.index import count
from lithops_magic.engine.cache.shelf import ABOUT, INDEXES
from lithops_magic.engine.wire.store import Store
from lithops_magic.errors import AwsError

_THREADS = 8


@dataclass(frozen=True, slots=True)
class CachedFunction:
    """The cached values of one function."""

    name: str
    """The function's name in the cache."""
    label: str
    """The name the user gave it."""
    about: str
    """Where it ran, and how its code begins."""
    values: int
    size: int
    """Bytes in S3."""
    written: float
    """When the latest value was written, in seconds since 1970."""
    until: float
    """When S3 deletes the latest value."""
    prefixes: tuple[str, ...] = field(repr=False)
    """Key prefixes of its objects."""

    def answers(self, name: str) -> bool:
        """Whether a user may mean it: `name` is a prefix of its name, or part of its label or description."""
        return self.name.startswith(name) or name in self.label or name in self.about


def cached_functions(store: Store) -> list[CachedFunction]:
    """Return the contents of the cache, most recently written first.

    Raises
    ------
    AwsError
        S3 cannot be read.
    """
    try:
        listed = list(store.find(CACHE))
    except AwsError as error:
        # Nothing has been stored yet.
        if error.code == "NoSuchBucket":
            return []
        raise
    # S3 lists keys in order, so that each function's are together.
    groups = [(prefix, list(group)) for prefix, group in groupby(listed, key=_prefix)]
    found: dict[str, list[CachedFunction]] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for part in pool.map(lambda group: _part(store, *group), groups):
            found.setdefault(part.name, []).append(part)
    return sorted((_together(parts) for parts in found.values()), key=lambda one: -one.written)


def clear(store: Store, what: Iterable[CachedFunction]) -> None:
    """Delete cached values.

    Raises
    ------
    AwsError
        A call is not permitted.
    """
    for one in what:
        for prefix in one.prefixes:
            store.delete_prefix(prefix)


def _prefix(each: Found) -> str:
    """Return the key prefix of a function's objects with the same lifetime."""
    return "/".join(each.key.split("/")[:3]) + "/"


def _part(store: Store, prefix: str, objects: Sequence[Found]) -> CachedFunction:
    days, name = prefix.split("/")[1:3]
    indexes = [each for each in objects if each.key.startswith(prefix + INDEXES)]
    written = max(each.modified for each in indexes or objects)
    about = _about(store, prefix + ABOUT)
    return CachedFunction(
        name=name,
        label=about.get("label") or about.get("name", ""),
        about=about.get("about", ""),
        values=sum(count(each.size) for each in indexes),
        size=sum(each.size for each in objects),
        written=written,
        until=written + int(days) * DAY,
        prefixes=(prefix,),
    )


def _about(store: Store, key: str) -> dict[str, str]:
    try:
        about = json.loads(store.get(key))
    except (AwsError, ValueError):  # it only describes the values, which can be listed without it
        return {}
    return {name: text for name, text in about.items() if isinstance(text, str)} if isinstance(about, dict) else {}


def _together(parts: Sequence[CachedFunction]) -> CachedFunction:
    """Merge a function's entries for different lifetimes."""
    latest = max(parts, key=lambda part: part.written)
    return CachedFunction(
        name=latest.name,
        label=latest.label,
        about=latest.about,
        values=sum(part.values for part in parts),
        size=sum(part.size for part in parts),
        written=latest.written,
        until=max(part.until for part in parts),
        prefixes=tuple(prefix for part in parts for prefix in part.prefixes),
    )
