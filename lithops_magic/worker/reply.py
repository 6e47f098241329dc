"""The reply to one request, filled up to exactly what AWS allows."""

from __future__ import annotations

import contextlib
import sys
from binascii import b2a_base64

# Imported by name, so that a task that patches the module does not affect the worker.
from json import dumps
from time import monotonic, time
from typing import Any

from .alarm import Alarm
from .capture import LIMIT as LOG
from .seal import LENGTH as SEAL
from .store import CONNECT_TIMEOUT, RESERVE, Store, StoreError

LIMIT = 6_291_556
"""Bytes of a reply: AWS's quota, 6 MiB and 100 (recorded on AWS)."""
SEPARATOR = len(", ")
VALUES = b', "values": "'
"""Precedes all values, which end the reply: in base64, one after the other, as the outcomes tell their sizes."""

FINAL = frozenset({"ok", "error", "unpicklable"})
"""Statuses worth storing: after any other, the task is rerun, and the first stored outcome stays."""
PAUSE = 300.0
"""Seconds without a further attempt after S3 was unreachable: each would cost the task ten seconds."""
_paused_until = 0.0


class Reply:
    """Collects outcomes; a value that does not fit goes to the store.

    Parameters
    ----------
    head
        What every reply says about its sandbox.
    store
        Takes what does not fit; if None, such values are omitted and the reply says so.
    alarm
        Knows how much time is left.
    """

    def __init__(self, head: dict[str, Any], store: Store | None, alarm: Alarm) -> None:
        self._head = head
        self._store = store
        self._alarm = alarm
        self.outcomes: list[dict[str, Any]] = []
        # `waited` is known only when the reply is closed: room is reserved for any value.
        self._left = LIMIT - SEAL - len(VALUES) - len(dumps({**head, "waited": 99999.999, "outcomes": []}))
        self._capacity = self._left

    def add(self, outcome: dict[str, Any]) -> bool:
        """Add a task's outcome; return False if there is hardly room for another one like it."""
        left = self._left - (SEPARATOR if self.outcomes else 0)
        fitted, used = self._fit(outcome, left)
        if self._store is not None and self._should_store(fitted, self._store) and self._save(fitted, self._store):
            fitted, used = _sized({**_without(fitted, fitted["status"]), "kept": True})
        self.outcomes.append(fitted)
        self._left = left - used
        # The client resends unanswered tasks; running them without room for their results would be pointless.
        return self._left >= max(used, LOG)

    def close(self, waited: float | None, extras: dict[str, Any]) -> dict[str, Any]:
        """Return the reply, with the seconds `waited` for a CPU, and `extras` if there is room."""
        reply = {**self._head, "outcomes": self.outcomes}
        if waited is not None:
            reply["waited"] = round(waited, 3)
        extras = {name: what for name, what in extras.items() if what}
        return {**reply, **extras} if len(dumps(extras)) <= self._left else reply

    def _fit(self, outcome: dict[str, Any], left: int) -> tuple[dict[str, Any], int]:
        """Return `outcome` as it goes into the reply (its value there, in the store, or omitted) and its length."""
        value = outcome.get("value")
        if not isinstance(value, bytes):
            used = _length(outcome)
            return (outcome, used) if used <= left else _sized(_without(outcome, "dropped"))
        used = _length({**outcome, "value": len(value)}) + (len(value) + 2) // 3 * 4
        if used <= left:
            return outcome, used
        status = "too_large" if used > self._capacity else "dropped"
        if self._store is None:
            return _sized({**_without(outcome, status), "size": used})
        try:
            return _sized({**outcome, "value": self._store.put(outcome["id"], value)})
        except StoreError as problem:
            # A transient problem is worth another run of the task; a permanent one is its final outcome.
            if problem.transient:
                return _sized({**_without(outcome, "store"), "reason": f"its result is lost: {problem}"})
            return _sized({**_without(outcome, status), "size": used, "reason": str(problem)})

    def _should_store(self, outcome: dict[str, Any], store: Store) -> bool:
        if not store.stores(outcome["seconds"]):
            return False
        now = monotonic()
        return store.detached or (
            outcome["status"] in FINAL and self._alarm.left() > RESERVE and not _paused_until > now
        )

    def _save(self, outcome: dict[str, Any], store: Store) -> bool:
        """Store an expensive result; return whether it is only there, as a detached job's are."""
        global _paused_until
        head = {name: self._head[name] for name in ("sandbox", "cold")}
        if isinstance(value := outcome.get("value"), bytes):
            head["value"] = b2a_base64(value, newline=False).decode()
        began = monotonic()
        kept = store.save(outcome["id"], {**outcome, **head, "ended": time(), "memory_mb": _memory()})
        if not kept and monotonic() - began > CONNECT_TIMEOUT:
            _paused_until = monotonic() + PAUSE
        return kept and store.detached


def encoded(reply: dict[str, Any]) -> list[bytes]:
    """Return a reply's JSON in parts, without the brace that opens it."""
    values: list[bytes] = []
    for outcome in reply.get("outcomes", ()):
        if isinstance(value := outcome.get("value"), bytes):
            values.append(b2a_base64(value, newline=False))
            outcome["value"] = len(value)
    text = dumps(reply)[1:].encode()
    return [text[:-1], VALUES, *values, b'"}'] if values else [text]


def spilled(outcome: dict[str, Any], store: Store | None) -> dict[str, Any]:
    """Store a value too large for any reply right away, so that several processes can do so in parallel."""
    value = outcome.get("value")
    if store is not None and value is not None and len(value) > LIMIT // 4 * 3:
        with contextlib.suppress(StoreError):  # the reply says what is wrong
            return {**outcome, "value": store.put(outcome["id"], value)}
    return outcome


def _sized(outcome: dict[str, Any]) -> tuple[dict[str, Any], int]:
    return outcome, _length(outcome)


def _length(outcome: dict[str, Any]) -> int:
    # The runtime escapes no more characters than json does here.
    return len(dumps(outcome))


def _without(outcome: dict[str, Any], status: str) -> dict[str, Any]:
    return {"status": status, "log": "", **{name: outcome[name] for name in ("id", "started", "seconds")}}


def _memory() -> int:
    """Return the peak MB of this process or any that it has forked."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return most // (2**20 if sys.platform == "darwin" else 2**10)
