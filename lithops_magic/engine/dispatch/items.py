"""Takes items as a `for` loop would: each is pickled before the next is requested, in the caller's context.

Items that all exist already are taken by the job's own thread. Others are taken in the caller's thread while it waits
for the job, and in a separate thread only if no one waits: results must not wait for items.
"""

from __future__ import annotations

import contextvars
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView, Sequence, Set, Sized
from dataclasses import dataclass
from typing import Any, NamedTuple

from lithops_magic import data
from lithops_magic.engine.cache.keys import Key
from lithops_magic.engine.text.short_repr import short_repr
from lithops_magic.engine.wire.item import Prepared, prepare
from lithops_magic.errors import MisuseError, SerializationError

# Compared by exact type: a subclass may iterate differently, or change.
_UNCHANGING = (bytes, range, str, tuple)


@dataclass(frozen=True, slots=True)
class Pulled:
    """Items are available."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The iterator has ended, normally or with `error`."""

    error: BaseException | None = None


class Taken(NamedTuple):
    """An item: the object itself if the job owns it, else its state when it was taken."""

    item: Any
    prepared: Prepared | SerializationError
    """What is sent, or why it cannot be."""
    key: Key | None = None
    """Its key in the cache."""
    octets: int = 0
    """Bytes of external data, in S3 or elsewhere, that it refers to."""


class Items:
    """What a job runs over.

    A collection is copied at once, but not deeply, so that later changes to it do not affect the job. Anything else is
    iterated as is.

    Parameters
    ----------
    items
        Any iterable.

    Raises
    ------
    MisuseError
        It is not iterable.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self.owned: Sequence[Any] | None = None
        """The job's own copy; None if items arrive one by one."""
        error: BaseException | None = None
        if type(items) in _UNCHANGING:
            self.owned = items  # type: ignore[assignment]
        elif _is_array(items):
            # Rows are views, so that a copied list of rows would still change with the array.
            self.owned = items.copy()  # type: ignore[attr-defined]
        elif isinstance(items, Sequence | Set | Mapping | MappingView) or _is_table(items):
            self.owned, error = _copy(items)
        self.total = _length(items) if self.owned is None else len(self.owned)
        """Their number if known; an iterable may misreport its own."""
        self.iterator = _iterate(items if self.owned is None else self.owned)
        self.complete = self.owned is not None and error is None
        """Whether all of them are here, and nothing was raised before the last one."""
        if error is not None:
            self.iterator = _ending(self.iterator, error)


def _ending(items: Iterator[Any], error: BaseException) -> Iterator[Any]:
    yield from items
    raise error


def _copy(items: Iterable[Any]) -> tuple[list[Any], BaseException | None]:
    found: list[Any] = []
    try:
        for item in _iterate(items):
            found.append(item)
    # Nothing was started yet, so these end the call. Any other error comes after the items before it, as in a `for`
    # loop.
    except (KeyboardInterrupt, MisuseError):
        raise
    except BaseException as error:
        return found, error
    return found, None


def _iterate(items: Iterable[Any]) -> Iterator[Any]:
    try:
        return iter(items)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise  # the user's own __iter__ raised
    raise MisuseError(f"map: items must be iterable, not {short_repr(items)}")


def _length(items: Iterable[Any]) -> int | None:
    try:
        return len(items) if isinstance(items, Sized) else None
    except Exception:  # the len() of a tqdm over a generator raises
        return None


def _is_array(items: object) -> bool:
    """Whether it is a numpy array in memory, as opposed to one in a file, which may be larger than memory."""
    kind = next((kind for kind in type(items).__mro__ if kind.__module__.partition(".")[0] == "numpy"), None)
    return kind is not None and kind.__name__ != "memmap" and getattr(items, "ndim", 0) > 0 and hasattr(items, "copy")


def _is_table(items: object) -> bool:
    """Whether it is a pandas object that iterates over labels or values already in memory."""
    kind = type(items)
    return kind.__module__.partition(".")[0] == "pandas" and (hasattr(kind, "iloc") or hasattr(kind, "get_loc"))


class Source:
    """An iterator that is advanced only as far as requested.

    Parameters
    ----------
    items
        What to iterate over.
    waits
        Whether the thread that creates the source will `serve` it.
    name
        Returns the cache key of an item's value; None if values are not cached.
    """

    def __init__(
        self, items: Iterable[Any] | Items, *, waits: bool = False, name: Callable[[Any], Key | None] | None = None
    ) -> None:
        items = items if isinstance(items, Items) else Items(items)
        self._items = items.iterator
        self._owned = items.owned is not None
        self._name = name
        self._server = threading.get_ident() if waits and not self._owned else None
        # An iterator may depend on context variables of its caller (decimal precision, a tracing span), in whatever
        # thread it is advanced.
        self._context = contextvars.copy_context()
        self._ready: deque[Taken] = deque()
        self._announced = self._ended = False
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._owed = 0
        self._deliver: Callable[[Pulled | Exhausted], None] = lambda _: None
        self.asked = 0
        """Items requested and not taken yet."""
        self.last = False
        """Set by the owner once nothing more comes."""

    @property
    def owned(self) -> bool:
        """Whether all items exist, so that taking more of them has no side effects."""
        return self._owned

    def start(self, deliver: Callable[[Pulled | Exhausted], None]) -> None:
        """Start; `deliver` may be called from another thread."""
        self._deliver = deliver
        if not self._owned and self._server is None:
            run = self._context.run
            threading.Thread(target=run, args=(self._run,), name="lithops-magic-items", daemon=True).start()

    def ask(self, items: int) -> bool:
        """Request `items` more; return whether they are available already."""
        if items <= 0 or self.last or self._ended:
            return False
        self.asked += items
        if self._owned:
            self._context.run(self._pull, items)
            return True
        self._wanted.put(items)
        return False

    def first(self) -> Taken | None:
        """The next item, which is not removed; None if it is not available."""
        return self._ready[0] if self._ready else None

    def take(self) -> Iterator[Taken]:
        """Yield the available items."""
        self._announced = False
        while self._ready:
            self.asked -= 1
            yield self._ready.popleft()

    def stop(self) -> None:
        """Stop, at the latest when the iterator returns its next item."""
        self.last = True
        self._wanted.put(None)

    def serve(self, seconds: float) -> bool:
        """Take items for a while, or wait for a request; False if another thread does this, or at the end.

        An exception from the iterator ends the job; an interrupt is also raised in the caller.
        """
        __tracebackhide__ = True
        # Only the thread that created the source: iterators may be bound to it (an SQLite cursor is).
        if threading.get_ident() != self._server or self.last:
            return False
        if not self._owed:
            try:
                wanted = self._wanted.get(timeout=seconds)
            except queue.Empty:
                return True
            if wanted is None:
                return False
            self._owed = wanted
        end = time.monotonic() + seconds
        while self._owed and time.monotonic() < end:
            self._owed -= 1
            # One at a time, because the caller's time limit must be checked between slow items.
            if not self._pull(1):
                self._server = None
                return False
        return True

    def _run(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            if not self._pull(wanted):
                return

    def _pull(self, wanted: int) -> bool:
        """Advance the iterator; return whether it may have more."""
        __tracebackhide__ = True
        try:
            for item in itertools.islice(self._items, wanted):
                self._ready.append(self._taken(item))
                wanted -= 1
                # At once: the next item of a slow iterator may be hours away. Only once for all items not yet taken.
                if not self._announced:
                    self._announced = True
                    self._deliver(Pulled())
                if self.last:
                    return False
        except BaseException as error:
            self._ended = True
            self._deliver(Exhausted(error))
            # The user interrupted the cell, which happened to be in the iterator: the cell must end as well.
            if isinstance(error, KeyboardInterrupt) and threading.get_ident() == self._server:
                raise
            return False
        if wanted:
            self._ended = True
            self._deliver(Exhausted())
        return not wanted

    def _taken(self, item: Any) -> Taken:
        # Computed now, because the task gets the item as it is at this moment.
        key = self._name(item) if self._name else None
        try:
            prepared = prepare(item)
        except SerializationError as error:
            return Taken(item, error)
        return Taken(item if self._owned else prepared, prepared, key, data.octets(item))
