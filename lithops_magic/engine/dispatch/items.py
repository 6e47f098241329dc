"""Takes items from an iterable on demand, in a thread of its own where that may be slow: results must not wait."""

from __future__ import annotations

import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_INSTANT = frozenset({bytes, dict, frozenset, list, range, set, str, tuple})
"""Types whose items are all there: a thread would only cost time."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """There are items to take."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The iterator has ended, by itself or by `error`."""

    error: Exception | None = None


class Source:
    """An iterator that is advanced only as far as it is asked.

    Parameters
    ----------
    items
        What is iterated over; from one thread only, which is not always the one that made it.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self._items: Iterator[Any] = iter(items)
        self._instant = type(items) in _INSTANT
        self._ready: deque[Any] = deque()
        self._announced = False
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._deliver: Callable[[Pulled | Exhausted], None] = lambda _: None
        self.asked = 0
        """Items asked for and not taken yet."""
        self.last = False
        """Whether nothing more comes, which the owner sets."""

    def start(self, deliver: Callable[[Pulled | Exhausted], None]) -> None:
        """Begin; `deliver` may be called from the source's thread."""
        self._deliver = deliver
        if not self._instant:
            threading.Thread(target=self._run, name="lithops-magic-items", daemon=True).start()

    def ask(self, items: int) -> bool:
        """Ask for `items` more; return whether they are ready to be taken already."""
        if items <= 0 or self.last:
            return False
        self.asked += items
        if self._instant:
            self._pull(items)
            return True
        self._wanted.put(items)
        return False

    def take(self) -> Iterator[Any]:
        """Yield the items that are ready."""
        self._announced = False
        while self._ready:
            self.asked -= 1
            yield self._ready.popleft()

    def stop(self) -> None:
        """End the thread, at the latest when the iterator returns its next item."""
        self.last = True
        self._wanted.put(None)

    def _run(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            if not self._pull(wanted):
                return

    def _pull(self, wanted: int) -> bool:
        """Advance the iterator; whether it may have more."""
        try:
            for item in itertools.islice(self._items, wanted):
                self._ready.append(item)
                wanted -= 1
                # At once: the next item of a slow iterator may be hours away. Only once for all that are not taken yet.
                if not self._announced:
                    self._announced = True
                    self._deliver(Pulled())
                if self.last:
                    return False
        except Exception as error:
            self._deliver(Exhausted(error))
            return False
        if wanted:
            self._deliver(Exhausted())
        return not wanted
