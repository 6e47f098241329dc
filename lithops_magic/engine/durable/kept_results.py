"""Results that tasks keep in S3: awaited, verified, and delivered like a reply.

A job's scheduler waits here for tasks behind a broken connection, and a replay for tasks that an earlier process sent.
`expect` may be called from any thread. For each call, `done` is called once from a watch thread, at the latest when the
wait expires, unless the watch is closed first. Nothing is unpickled here, and only results signed with the job's key
are delivered.
"""

from __future__ import annotations

import hmac
import json
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lithops_magic.aws.invoke.outcomes import Ambiguous, Done, Outcome, Reply
from lithops_magic.aws.invoke.report import InvocationReport
from lithops_magic.engine.wire.reply import VerifiedReply
from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import AwsError, LithopsMagicError

FIRST_PAUSE, MAX_PAUSE = 0.25, 10.0
"""Seconds between polls; increases while nothing arrives. A poll costs $0.000005 per thousand objects."""
MARGIN = 15.0
"""Seconds added to the function's timeout, for startup and for S3."""
EVENT_AGE = 6 * 3600.0
"""Seconds after which Lambda drops an event that it could not start (its default and maximum)."""
PERMANENT = frozenset({"AccessDenied", "AllAccessDisabled", "NoSuchBucket"})
"""Errors after which polling S3 is pointless."""
MANIFEST = "manifest"
"""The object under a job's prefix that describes the job; for a detached job it precedes the first event."""
_THREADS = 8
_MAC = 32
"""Bytes of the code (HMAC-SHA-256) before the outcome itself."""
_ENDLESS = 1e12
"""No real amount is that large, but JSON can hold larger ones, even infinity."""

Arrival = Callable[[Reply | None], object]


@dataclass(slots=True, eq=False)
class _Wait:
    """Tasks whose results are awaited together."""

    tasks: set[int]
    expires: float
    done: Arrival
    outcomes: list[dict[str, Any]] = field(default_factory=list)


class Watch:
    """Waits for a job's kept results: one LIST for all of them, one GET for each.

    Parameters
    ----------
    place
        The job's place, including the key that signs its results.
    timeout
        The function's timeout in seconds.
    runs
        How many times a task of a detached job is started at most; the timeout counts from its last run.
    say
        Called once with the reason if S3 cannot be read.
    """

    def __init__(
        self, place: Place, timeout: float, runs: int = 0, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._place = place
        self._patience = timeout + MARGIN
        self._last_run = runs
        self._lock = threading.Lock()
        self._waits: dict[int, _Wait] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._forbidden = False
        self._say = say
        self._said = False

    def expect(self, tasks: Collection[int], expires: float, done: Arrival) -> None:
        """Wait for the results of tasks.

        Parameters
        ----------
        expires
            Monotonic time at which to give up; S3 is polled at least once.
        done
            Called once, from another thread, with the results that arrived, or None.
        """
        wait = _Wait(set(tasks), expires, done)
        with self._lock:
            # One wait for all tasks of a request, whose caller wants a single reply.
            self._waits.update(dict.fromkeys(tasks, wait))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lithops-magic-kept", daemon=True)
                self._thread.start()

    def forbid(self) -> None:
        """Keep a detached job's tasks from starting, and stop waiting for those that have not."""
        with suppress(LithopsMagicError):  # in which case they run after all
            self._place.store.put(f"{self._place.prefix}cancelled", b"")
            self._forbidden = True

    def close(self) -> None:
        """Stop waiting."""
        self._closed.set()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        with ThreadPoolExecutor(_THREADS, "lithops-magic-kept") as pool:
            while not self._closed.wait(pause):
                began = time.monotonic()
                try:
                    news = self._look(pool)
                except Exception as error:  # a caller waits, and the next poll may succeed
                    self._complain(f"{type(error).__name__}: {error}", "retrying until no more can arrive")
                    self._expire(time.monotonic())
                    news = False
                took = time.monotonic() - began
                # Listing many objects takes long: polls should take a third of the time at most.
                pause = max(2 * took, FIRST_PAUSE if news else min(MAX_PAUSE, pause * 1.5))
                with self._lock:
                    # Under the lock that `expect` holds when it starts a thread: no wait can slip in between.
                    if not self._waits:
                        self._thread = None
                        return

    def _look(self, pool: ThreadPoolExecutor) -> bool:
        """Fetch new results; return whether there were any."""
        prefix = self._place.prefix
        try:
            names = {key.removeprefix(prefix) for key in self._place.store.list(prefix)}
        except LithopsMagicError as error:
            hopeless = getattr(error, "code", "") in PERMANENT
            after = "they are no longer waited for" if hopeless else "retrying until no more can arrive"
            self._complain(str(error), after)
            self._expire(math.inf if hopeless else time.monotonic())
            return False
        # The manifest precedes a detached job's first event, so that only deleting explains its absence.
        if self._last_run and MANIFEST not in names:
            self._complain("the job's objects were deleted", "they are no longer waited for")
            self._expire(math.inf)
            return False
        self._said = False
        with self._lock:
            waiting = [task for task in self._waits if str(task) in names]
        outcomes = [outcome for outcome in pool.map(self._fetch, waiting) if outcome is not None]
        for outcome in outcomes:
            self._arrived(outcome)
        self._shorten(names)
        self._expire(time.monotonic())
        return bool(outcomes)

    def _complain(self, why: str, after: str) -> None:
        if not self._said:
            self._said = True
            self._say(f"results in S3 cannot be read: {why}; {after}")

    def _fetch(self, task: int) -> dict[str, Any] | None:
        key = f"{self._place.prefix}{task}"
        try:
            return unseal(self._place.key, self._place.store.get(key), task)
        except ValueError:
            reason = (
                f"its result in s3://{self._place.store.bucket}/{key} is not what the sandbox wrote there: it was "
                "not unpickled. Find out who can write to the bucket, then run it again"
            )
            return {"id": task, "status": "tampered", "reason": reason, "started": 0.0, "seconds": 0.0, "log": ""}
        except AwsError:
            return None  # the next poll will tell

    def _arrived(self, outcome: dict[str, Any]) -> None:
        with self._lock:
            wait = self._waits.pop(outcome["id"])
            wait.outcomes.append(outcome)
            wait.tasks.discard(outcome["id"])
        if not wait.tasks:
            wait.done(reply(wait.outcomes))

    def _shorten(self, names: Collection[str]) -> None:
        """Shorten waits: a task's last run ends within the function's timeout; cancelled tasks do not start."""
        latest = time.monotonic() + self._patience
        with self._lock:
            for task, wait in self._waits.items():
                if self._last_run and f"run-{task}-{self._last_run}" in names:
                    wait.expires = min(wait.expires, latest)
                elif self._forbidden and f"run-{task}-1" not in names:
                    wait.expires = 0.0

    def _expire(self, now: float) -> None:
        with self._lock:
            # `done` is called below without the lock: it may call `expect` again.
            expired = {wait for wait in self._waits.values() if wait.expires <= now}
            for wait in expired:
                for task in wait.tasks:
                    del self._waits[task]
        for wait in expired:
            wait.done(reply(wait.outcomes) if wait.outcomes else None)


def unseal(key: bytes, data: bytes, task: int) -> dict[str, Any]:
    """Return the kept outcome of a task.

    Raises
    ------
    ValueError
        It was not signed with the job's key, belongs to another task, or is not an outcome.
    """
    code, body = data[:_MAC], data[_MAC:]
    # In constant time, so that timing tells nothing about the right code.
    if not hmac.compare_digest(code, hmac.digest(key, body, "sha256")):
        raise ValueError("not signed with the job's key")
    try:
        outcome: Any = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Exactly an int: True equals 1.
    if not isinstance(outcome, dict) or type(outcome.get("id")) is not int or outcome["id"] != task:
        raise ValueError("another task's")
    # A task could have found the key, so check the values: an error here would leave the caller waiting forever.
    if not all(_is_amount(outcome.get(name, 0)) for name in ("seconds", "memory_mb")) or "seconds" not in outcome:
        raise ValueError("no outcome")
    return outcome


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < _ENDLESS


def reply(outcomes: Iterable[dict[str, Any]]) -> Reply:
    """Return a reply with these outcomes; its bill is based on the sandbox's clock."""
    outcomes = list(outcomes)
    head = {"sandbox": outcomes[0].get("sandbox", ""), "cold": any(outcome.get("cold") for outcome in outcomes)}
    milliseconds = sum(outcome["seconds"] for outcome in outcomes) * 1000
    memory = max(outcome.get("memory_mb", 0) for outcome in outcomes)
    report = InvocationReport(milliseconds, math.ceil(milliseconds), 0, memory)
    return VerifiedReply(json.dumps({**head, "outcomes": outcomes}).encode(), None, "", "", report)


class NothingKept(Ambiguous):
    """A broken connection, and no result was kept."""

    __slots__ = ()


class KeptResults:
    """Looks for kept results when a connection breaks under a task that runs long enough to keep its own.

    Parameters
    ----------
    place
        The job's place in S3; None if it has none.
    timeout
        The function's timeout in seconds.
    """

    def __init__(self, place: Place | None, timeout: float) -> None:
        self._after = place.after if place and place.key else math.inf
        self._timeout = timeout
        self._watch = Watch(place, timeout) if place else None

    def takes(self, tasks: Collection[int], sent_at: float, outcome: Outcome, deliver: Done) -> bool:
        """Whether to keep waiting for an invocation: `deliver` gets what is found, else a `NothingKept`."""
        # A `NothingKept` has been looked for already.
        if self._watch is None or not isinstance(outcome, Ambiguous) or isinstance(outcome, NothingKept):
            return False
        # Tasks that ran for less do not keep their results; nothing can arrive.
        if time.monotonic() - sent_at < self._after:
            return False
        lost = NothingKept(outcome.message)
        self._watch.expect(tasks, sent_at + self._timeout + MARGIN, lambda found: deliver(found or lost))
        return True

    def close(self) -> None:
        """Stop looking."""
        if self._watch is not None:
            self._watch.close()
