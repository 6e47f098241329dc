"""What the items of a job were seen to need so far, beside what the function does."""

from __future__ import annotations

from types import CodeType

from lithops_magic.engine.wire.item import Prepared
from lithops_magic.packages import Need, Reach


class Cargo:
    """Grows with the types of the items.

    Parameters
    ----------
    need
        What the function needs, with the items that could be looked at before.
    """

    def __init__(self, need: Need) -> None:
        self.need = need
        self._modules: set[str] = set()
        self._codes: dict[int, CodeType] = {}
        self._latest: Reach | None = None
        self._drawn: set[tuple[int, int]] | None = set()

    def shares(self, prepared: Prepared) -> bool:
        """Whether an item has a random generator as another one has it; true once."""
        if self._drawn is None or not prepared.drawn:
            return False
        shared = not self._drawn.isdisjoint(prepared.drawn)
        self._drawn = None if shared else self._drawn | {*prepared.drawn}
        return shared

    def grows(self, reach: Reach) -> bool:
        """Take in what an item needs; whether that is more than before.

        Raises
        ------
        PackageError
            It cannot be shipped.
        """
        if reach is self._latest:
            return False
        modules = reach.modules - self._modules
        codes = [code for code in reach.codes if id(code) not in self._codes]
        if not modules and not codes:
            self._latest = reach
            return False
        before, need = self.need, self.need.extended(Reach(modules, codes))
        # Only now: what cannot be shipped is refused again for the next item of its kind.
        self._modules |= modules
        self._codes |= {id(code): code for code in codes}
        self._latest = reach
        self.need = need
        return need != before
