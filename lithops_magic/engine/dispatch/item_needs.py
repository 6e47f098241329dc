"""What a job's items have been found to need so far, beyond what the function does."""

from __future__ import annotations

from types import CodeType

from lithops_magic.engine.wire.item import Prepared
from lithops_magic.packages import Need, Reach


class ItemNeeds:
    """Grows with the types of items.

    Parameters
    ----------
    need
        What the function and the items that could be inspected in advance need.
    """

    def __init__(self, need: Need) -> None:
        self.need = need
        self._modules: set[str] = set()
        self._codes: dict[int, CodeType] = {}
        self._latest: Reach | None = None
        self._drawn: set[tuple[int, int]] | None = set()

    def shares(self, prepared: Prepared) -> bool:
        """Whether an item has the same random generator in the same state as another one; true only once."""
        if self._drawn is None or not prepared.drawn:
            return False
        shared = not self._drawn.isdisjoint(prepared.drawn)
        self._drawn = None if shared else self._drawn | {*prepared.drawn}
        return shared

    def grows(self, reach: Reach) -> bool:
        """Add an item's needs; return whether any were new.

        Raises
        ------
        PackageError
            A need cannot be shipped.
        """
        if reach is self._latest:
            return False
        modules = reach.modules - self._modules
        codes = [code for code in reach.codes if id(code) not in self._codes]
        if not modules and not codes:
            self._latest = reach
            return False
        before, need = self.need, self.need.extended(Reach(modules, codes))
        # Only now, so that the next item with an unshippable need is refused, too.
        self._modules |= modules
        self._codes |= {id(code): code for code in codes}
        self._latest = reach
        self.need = need
        return need != before
