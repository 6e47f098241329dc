"""Which values are reduced together: those whose items share an attribute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lithops_magic.engine.text.short_repr import short_repr
from lithops_magic.errors import MisuseError


class Groups:
    """The group of each item, recorded when the item is taken, because most items are not stored until the end.

    Parameters
    ----------
    by
        An attribute of the items, or a key if they are dictionaries.
    """

    def __init__(self, by: str) -> None:
        self._by = by
        self._names: list[Any] = []

    def watch(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield items, and record the group of each.

        Raises
        ------
        MisuseError
            An item belongs to no group.
        """
        for item in items:
            self._names.append(self._name(item))
            yield item

    def lists(self, values: Sequence[Any]) -> list[list[Any]]:
        """Return the values of each group, ordered by the groups' first items."""
        found: dict[Any, list[Any]] = {}
        for name, value in zip(self._names, values, strict=True):
            found.setdefault(name, []).append(value)
        return [*found.values()]

    def named(self, reduced: Sequence[Any]) -> dict[Any, Any]:
        """Return the result of each group by its name."""
        return dict(zip(dict.fromkeys(self._names), reduced, strict=True))

    def _name(self, item: Any) -> Any:
        # With several iterables, use the first that has it.
        for each in (item, *(item if isinstance(item, tuple) else ())):
            try:
                name = each[self._by] if isinstance(each, Mapping) else getattr(each, self._by)
                # A group's name becomes a key of the result's dictionary.
                hash(name)
            except (AttributeError, KeyError):
                continue
            except TypeError:
                break
            return name
        raise MisuseError(f"reduce_by: {short_repr(item)} has no {self._by!r} that can name a group")
