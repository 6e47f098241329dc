"""Which values are reduced together: those whose items have the same attribute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lithops_magic.engine.text.short_repr import glance
from lithops_magic.errors import MisuseError


class Groups:
    """The group of each item, noted when it is taken: most items are not kept until the end.

    Parameters
    ----------
    by
        An attribute of the items, or a key of those that are dictionaries.
    """

    def __init__(self, by: str) -> None:
        self._by = by
        self._names: list[Any] = []

    def watch(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield items, and note the group of each.

        Raises
        ------
        MisuseError
            One is in no group.
        """
        for item in items:
            self._names.append(self._name(item))
            yield item

    def lists(self, values: Sequence[Any]) -> list[list[Any]]:
        """Return the values of each group, in the order of their first items."""
        found: dict[Any, list[Any]] = {}
        for name, value in zip(self._names, values, strict=True):
            found.setdefault(name, []).append(value)
        return [*found.values()]

    def named(self, reduced: Sequence[Any]) -> dict[Any, Any]:
        """Return what came of each group."""
        return dict(zip(dict.fromkeys(self._names), reduced, strict=True))

    def _name(self, item: Any) -> Any:
        # Of several iterables, the first that has it.
        for each in (item, *(item if isinstance(item, tuple) else ())):
            try:
                name = each[self._by] if isinstance(each, Mapping) else getattr(each, self._by)
                hash(name)
            except (AttributeError, KeyError):
                continue
            except TypeError:
                break
            return name
        raise MisuseError(f"reduce_by: {glance(item)} has no {self._by!r} that can name a group")
