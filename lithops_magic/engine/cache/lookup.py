"""How many of a job's values are in the cache, determined without running it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lithops_magic.engine.cache.keys import Keys
from lithops_magic.engine.cache.meaning import Undetermined
from lithops_magic.engine.cache.shelf import Shelf
from lithops_magic.errors import AwsError

if TYPE_CHECKING:
    from lithops_magic.config import Settings
    from lithops_magic.engine.options import MapOptions


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """What is in the cache."""

    values: int
    cost: float
    """USD at list price that computing them cost."""
    problem: str = ""
    """Why it cannot be determined."""


def look_up(
    function: Callable[..., Any],
    items: Iterable[Any],
    options: MapOptions,
    settings: Settings,
    differences: Sequence[str] = (),
) -> CacheLookup | None:
    """Return which of a job's values exist; None if it uses no cache or looking would consume its items."""
    if not options.cache or not isinstance(items, Sequence):
        return None
    from lithops_magic.aws.session import Cloud
    from lithops_magic.aws.storage.objects import ObjectStore

    store = ObjectStore(Cloud.connect(settings), settings)
    try:
        keys = Keys(function, settings, options)
        # Only reads: without added values, closing writes nothing.
        with Shelf(store, keys.of_function(differences), options.cache, {}) as shelf:
            shelf.load()
    except (Undetermined, AwsError) as error:
        return CacheLookup(0, 0.0, f"not used: {error}")
    found = [entry for item in items if (key := keys.of_item(item)) and (entry := shelf.entry(key.digest))]
    return CacheLookup(len(found), sum(entry.cost for entry in found))
