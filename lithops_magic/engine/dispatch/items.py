"""Takes items as a `for` loop would: each is pickled before the next is asked for, in the context of the caller.

Items that are all there are taken by the job's own thread. All others are taken in the caller's thread while it waits
for the job, and in a thread of their own only where nobody waits: results must not wait for items.
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
from lithops_magic.engine.text.short_repr import glance
from lithops_magic.engine.wire.item import Prepared, prepare
from lithops_magic.errors import MisuseError, SerializationError

_UNCHANGING = (bytes, range, str, tuple)


@dataclass(frozen=True, slots=True)
class Pulled:
    """There are items to take."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The iterator has ended, by itself or by `error`."""

    error: BaseException | None = None


class Taken(NamedTuple):
    """An item: itself if the job owns it, else as it was when it was taken."""

    item: Any
    prepared: Prepared | SerializationError
    """What is sent, or why it cannot be."""
    key: Key | None = None
    """Names its value in the cache."""
    octets: int = 0
    """Bytes of data in S3, or elsewhere, that it refers to."""


class Items:
    """What a job runs over.

    A collection is copied at once, not deeply: what becomes of it later is nothing to the job. Anything else is
    iterated over as it is.

    Parameters
    ----------
    items
        Any iterable.

    Raises
    ------
    MisuseError
        It is none.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self.owned: Sequence[Any] | None = None
        """The job's own copy; None if items come one by one."""
        error: BaseException | None = None
        if type(items) in _UNCHANGING:
            self.owned = items  # type: ignore[assignment]
        elif _is_array(items):
            # Rows are views: a copy of the list of them would change with the array.
            self.owned = items.copy()  # type: ignore[attr-defined]
        elif isinstance(items, Sequence | Set | Mapping | MappingView) or _is_table(items):
            self.owned, error = _copy(items)
        self.total = _length(items) if self.owned is None else len(self.owned)
        """Their number, as far as it is known; an iterable may be wrong about its own."""
        self.iterator = _iterate(items if self.owned is None else self.owned)
        self.complete = self.owned is not None and error is None
        """Whether they are all there, and nothing was raised on the way to the last."""
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
            raise  # it comes from the user's own __iter__
    raise MisuseError(f"map: items must be iterable, not {glance(items)}")


def _length(items: Iterable[Any]) -> int | None:
    try:
        return len(items) if isinstance(items, Sized) else None
    except Exception:  # tqdm of a generator has a len() that it does not know
        return None


def _is_array(items: object) -> bool:
    """Whether it is a numpy array, and not one of a file, which may be larger than memory."""
    kind = next((kind for kind in type(items).__mro__ if kind.__module__.partition(".")[0] == "numpy"), None)
    return kind is not None and kind.__name__ != "memmap" and getattr(items, "ndim", 0) > 0 and hasattr(items, "copy")


def _is_table(items: object) -> bool:
    """Whether it is a pandas object whose iteration gives labels or values that are there already."""
    kind = type(items)
    return kind.__module__.partition(".")[0] == "pandas" and (hasattr(kind, "iloc") or hasattr(kind, "get_loc"))


class Source:
    """An iterator that is advanced only as far as it is asked.

    Parameters
    ----------
    items
        What is iterated over.
    waits
        Whether the thread that makes the source is going to `serve` it.
    name
        Returns what names an item's value in the cache; None if nothing does.
    """

    def __init__(
        self, items: Iterable[Any] | Items, *, waits: bool = False, name: Callable[[Any], Key | None] | None = None
    ) -> None:
        items = items if isinstance(items, Items) else Items(items)
        self._items = items.iterator
        self._owned = items.owned is not None
        self._name = name
        self._server = threading.get_ident() if waits and not self._owned else None
        self._context = contextvars.copy_context()
        self._ready: deque[Taken] = deque()
        self._announced = self._ended = False
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._owed = 0
        self._deliver: Callable[[Pulled | Exhausted], None] = lambda _: None
        self.asked = 0
        """Items asked for and not taken yet."""
        self.last = False
        """Whether nothing more comes, which the owner sets."""

    @property
    def owned(self) -> bool:
        """Whether the items are all there, so that to take more of them is of no consequence."""
        return self._owned

    def start(self, deliver: Callable[[Pulled | Exhausted], None]) -> None:
        """Begin; `deliver` may be called from another thread."""
        self._deliver = deliver
        if not self._owned and self._server is None:
            run = self._context.run
            threading.Thread(target=run, args=(self._run,), name="lithops-magic-items", daemon=True).start()

    def ask(self, items: int) -> bool:
        """Ask for `items` more; return whether they are ready to be taken already."""
        if items <= 0 or self.last or self._ended:
            return False
        self.asked += items
        if self._owned:
            self._context.run(self._pull, items)
            return True
        self._wanted.put(items)
        return False

    def first(self) -> Taken | None:
        """The next item, which stays; None if it is not ready."""
        return self._ready[0] if self._ready else None

    def take(self) -> Iterator[Taken]:
        """Yield the items that are ready."""
        self._announced = False
        while self._ready:
            self.asked -= 1
            yield self._ready.popleft()

    def stop(self) -> None:
        """End, at the latest when the iterator returns its next item."""
        self.last = True
        self._wanted.put(None)

    def serve(self, seconds: float) -> bool:
        """Take items for a while, or wait to be asked for some; False if this is not the thread that does, or the end.

        What the iterator raises is the job's end, and an interrupt is the caller's as well.
        """
        __tracebackhide__ = True
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
            if not self._pull(1):
                self._server = None
                return False
        return True

    def _run(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            if not self._pull(wanted):
                return

    def _pull(self, wanted: int) -> bool:
        """Advance the iterator; whether it may have more."""
        __tracebackhide__ = True
        try:
            for item in itertools.islice(self._items, wanted):
                self._ready.append(self._taken(item))
                wanted -= 1
                # At once: the next item of a slow iterator may be hours away. Only once for all that are not taken yet.
                if not self._announced:
                    self._announced = True
                    self._deliver(Pulled())
                if self.last:
                    return False
        except BaseException as error:
            self._ended = True
            self._deliver(Exhausted(error))
            if isinstance(error, KeyboardInterrupt) and threading.get_ident() == self._server:
                raise
            return False
        if wanted:
            self._ended = True
            self._deliver(Exhausted())
        return not wanted

    def _taken(self, item: Any) -> Taken:
        # At the same moment: it is the item's value now that the task is given.
        key = self._name(item) if self._name else None
        try:
            prepared = prepare(item)
        except SerializationError as error:
            return Taken(item, error)
        return Taken(item if self._owned else prepared, prepared, key, data.octets(item))
