"""Takes items from an iterator on demand, in a thread of its own: a slow iterator must not hold up results."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Pulled:
    """One item."""

    item: Any


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The iterator has ended, by itself or by `error`."""

    error: Exception | None = None


class Source:
    """An iterator that is advanced only as far as it is asked.

    Parameters
    ----------
    items
        The iterator; it is used from one thread only, not the one that made it.
    """

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self.asked = 0
        """Items asked for and not received yet, which the owner counts down."""
        self.last = False
        """Whether nothing more comes, which the owner sets."""

    def start(self, deliver: Callable[[Pulled | Exhausted], None]) -> None:
        """Begin; `deliver` is called from the source's thread."""
        threading.Thread(target=self._run, args=(deliver,), name="lithops-magic-items", daemon=True).start()

    def ask(self, items: int) -> None:
        """Ask for `items` more."""
        if items > 0 and not self.last:
            self.asked += items
            self._wanted.put(items)

    def stop(self) -> None:
        """End the thread, at the latest when the iterator returns its next item."""
        self.last = True
        self._wanted.put(None)

    def _run(self, deliver: Callable[[Pulled | Exhausted], None]) -> None:
        try:
            while (wanted := self._wanted.get()) is not None:
                for item in itertools.islice(self._items, wanted):
                    # One by one: the next item of a slow iterator may be hours away.
                    deliver(Pulled(item))
                    wanted -= 1
                    if self.last:
                        return
                if wanted:
                    deliver(Exhausted())
                    return
        except Exception as error:
            deliver(Exhausted(error))
