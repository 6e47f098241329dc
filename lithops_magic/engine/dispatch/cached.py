"""Takes values from the cache if they are there, and adds those that are computed.

Everything but fetching values happens in the job's thread.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lithops_magic.aws.invoke.outcomes import Reply
from lithops_magic.engine.cache import classes
from lithops_magic.engine.cache.index import Entry
from lithops_magic.engine.cache.keys import Key, Keys
from lithops_magic.engine.cache.shelf import Shelf
from lithops_magic.engine.dispatch.billing import FROM_CACHE, Bill
from lithops_magic.engine.dispatch.items import Taken
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.store import Store, Transfers
from lithops_magic.errors import LithopsMagicError

_BATCH = 64
"""Values fetched per message: one message each would cost more than the values."""


@dataclass(frozen=True, slots=True)
class CachedValue:
    """A value from the cache."""

    task: Task
    value: Any
    log: str
    cost: float
    payload: bytes
    """What a worker would have replied."""


@dataclass(frozen=True, slots=True)
class CacheBatch:
    """A batch of values fetched from the cache, or not."""

    found: Sequence[CachedValue]
    missed: Sequence[tuple[Task, Taken]]
    problem: str = ""
    """Why some could not be fetched."""


class NoCache:
    """Cache of a job that uses none."""

    pending = 0
    recent_hits = 0
    """Since items were last requested."""

    def open(self, store: Store | None, differences: Sequence[str]) -> None:
        """Read the indexes."""

    def has(self, task: Task, taken: Taken) -> bool:  # noqa: ARG002
        """Whether a task's value is cached; the next `fetch` then fetches and delivers it."""
        return False

    def fetch(self) -> None:
        """Fetch the values found."""

    def received(self, message: CacheBatch) -> None:
        """A message was received: count it down."""

    def charged(self, task: Task, bill: Bill) -> None:
        """Record the duration and cost of a task."""

    def keep(self, task: Task, container: bytes, log: str) -> None:
        """Add a task's value to the cache."""

    def close(self) -> None:
        """The job is over: write the remaining values."""


class JobCache(NoCache):
    """The cache of one job.

    Parameters
    ----------
    job
        The job.
    keys
        Computes the keys of its values.
    lifetime
        Maximum age of a value in seconds.
    deliver
        Called from other threads with each batch.
    """

    def __init__(self, job: Job, keys: Keys, lifetime: float, deliver: Callable[[CacheBatch], None]) -> None:
        self._job = job
        self._keys = keys
        self._lifetime = lifetime
        self._transfers = Transfers(deliver)
        self._shelf: Shelf | None = None
        self._found: list[tuple[Task, Taken, Entry]] = []
        self._misses: dict[int, tuple[Key, float, float]] = {}
        """Tasks being computed: their key, duration and cost."""
        self._problem = ""

    @property
    def pending(self) -> int:  # type: ignore[override]
        """Batches in progress."""
        return self._transfers.pending

    def open(self, store: Store | None, differences: Sequence[str]) -> None:
        """Read the indexes."""
        if store is None:
            return self._say("there is no S3 here")
        options = self._job.options
        about = {"label": options.label, "about": options.about, "name": getattr(self._job.function, "__name__", "")}
        shelf = Shelf(store, self._keys.of_function(differences), self._lifetime, about)
        self._job.publish(ev.Phase("Checking the cache"))
        try:
            damaged = shelf.load()
        # A cache that cannot be read must not fail a job that can be computed.
        except LithopsMagicError as error:
            return self._say(str(error))
        finally:
            self._job.publish(ev.Phase(""))
        self._shelf = shelf
        if damaged:
            self._say(
                "some entries are not what was written there, and were not unpickled", "their values are computed"
            )
        return None

    def _say(self, problem: str, after: str = "every task is computed") -> None:
        if not self._problem:
            self._problem = problem
            self._job.publish(ev.Noted(f"cache: {problem.rstrip('.')}; {after}"))

    def has(self, task: Task, taken: Taken) -> bool:
        """Whether a task's value is cached; the next `fetch` then fetches and delivers it."""
        if self._shelf is None or taken.key is None:
            return False
        entry = self._shelf.entry(taken.key.digest)
        if entry is None:
            self._misses[task.index] = (taken.key, 0.0, 0.0)
            return False
        self._found.append((task, taken, entry))
        self.recent_hits += 1
        return True

    def fetch(self) -> None:
        """Fetch the values found."""
        found, self._found = self._found, []
        for start in range(0, len(found), _BATCH):
            self._transfers.start(partial(self._bring, self._shelf, found[start : start + _BATCH]))

    def _bring(self, shelf: Shelf | None, batch: Sequence[tuple[Task, Taken, Entry]]) -> CacheBatch:
        """Fetch values; called from other threads."""
        assert shelf is not None
        found: list[CachedValue] = []
        missed: list[tuple[Task, Taken]] = []
        problem = ""
        for task, taken, entry in batch:
            try:
                container, metadata = shelf.bring(entry)
                about: dict[str, Any] = json.loads(metadata) if metadata else {"log": "", "classes": {}}
                value = classes.load(container, about["classes"], self._kinds(taken.key))
                # By reference if it is an object of its own, as a worker replies with large values: the journal must
                # not hold them.
                sent = shelf.reference(entry) if entry.alone else base64.b64encode(container).decode()
                payload = _payload(sent, task, about["log"])
                found.append(CachedValue(task, value, about["log"], entry.cost, payload))
            except BaseException as error:  # the user's own __setstate__ may raise anything; the task is then computed
                missed.append((task, taken))
                problem = problem or f"{type(error).__name__}: {error}"
        return CacheBatch(found, missed, problem)

    def received(self, message: CacheBatch) -> None:
        """A message was received: count it down."""
        self._transfers.pending -= 1
        if message.problem:
            self._say(message.problem, f"{len(message.missed)} of its values are computed")

    def charged(self, task: Task, bill: Bill) -> None:
        """Record the duration of a task's latest attempt, and its cost over all attempts."""
        if miss := self._misses.get(task.index):
            seconds = bill.seconds.get(task.index, bill.event.task_seconds)
            self._misses[task.index] = (miss[0], seconds, miss[2] + bill.cost(task.index))

    def keep(self, task: Task, container: bytes, log: str) -> None:
        """Add a task's value to the cache."""
        miss = self._misses.pop(task.index, None)
        if miss is not None and self._shelf is not None and container:
            key, seconds, cost = miss
            self._shelf.add(key.digest, container, _metadata(container, log, self._kinds(key)), seconds, cost)

    def _kinds(self, key: Key | None) -> tuple[type, ...]:
        """Return the notebook's own classes that a value may be of."""
        return (*self._keys.kinds, *(key.kinds if key else ()))

    def close(self) -> None:
        """The job is over: write the remaining values."""
        self._transfers.close()
        if self._shelf is None:
            return
        # Called twice: before the job ends, and again when its thread ends.
        shelf, self._shelf = self._shelf, None
        try:
            shelf.close()
        except LithopsMagicError as error:
            self._problem = ""
            self._say(str(error), "not every value is stored")


def _metadata(container: bytes, log: str, kinds: Sequence[type]) -> bytes:
    """Return a value's metadata; empty if there are none."""
    numbers = classes.number(container, kinds)
    return json.dumps({"log": log, "classes": numbers}).encode() if log or numbers else b""


def _payload(value: Any, task: Task, log: str) -> bytes:
    """Return what a worker would have replied, for the job's journal."""
    outcome = {"id": task.index, "status": "ok", "started": 0.0, "seconds": 0.0, "log": log, "value": value}
    return json.dumps({"sandbox": FROM_CACHE, "cold": False, "outcomes": [outcome]}).encode()


def as_reply(cached_value: CachedValue) -> Reply:
    """Return a cached value as a worker's reply."""
    return Reply(cached_value.payload, None, "", "", None)
