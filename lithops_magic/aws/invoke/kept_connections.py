"""Connections that a job leaves to the next one: opening them takes longer than a small task.

They are kept so briefly that neither servers nor routers close them for being idle. Any thread may keep or take them; a
thread of this module closes those that nobody has taken, and ends when none are left.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lithops_magic.aws.invoke.connect import Dialer, InvokeTarget

if TYPE_CHECKING:
    from awscrt.http import HttpClientConnection

SECONDS = 1.0
"""How long they are kept."""


@dataclass(slots=True)
class Connections:
    """Idle connections, and what opens more on their event loop."""

    dialer: Dialer
    idle: list[HttpClientConnection]
    until: float = 0.0

    def close(self) -> None:
        for connection in self.idle:
            connection.close()


_lock = threading.Lock()
_kept: dict[InvokeTarget, Connections] = {}
_watch: threading.Thread | None = None


def keep(target: InvokeTarget, connections: Connections) -> None:
    """Keep connections for the next job with the same target."""
    global _watch
    connections.until = time.monotonic() + SECONDS
    with _lock:
        replaced = _kept.pop(_place(target), None)
        _kept[_place(target)] = connections
        if _watch is None:
            _watch = threading.Thread(target=_close_unused, name="lithops-magic-connections", daemon=True)
            _watch.start()
    if replaced is not None:
        replaced.close()


def take(target: InvokeTarget, most: int) -> Connections | None:
    """Return what is kept for a target, with at most so many connections; None if nothing is."""
    with _lock:
        kept = _kept.pop(_place(target), None)
    if kept is None:
        return None
    surplus = Connections(kept.dialer, kept.idle[most:] if time.monotonic() < kept.until else kept.idle)
    kept.idle = [each for each in kept.idle if each not in surplus.idle and each.is_open()]
    surplus.close()
    return kept


def reaches_local(secret: str) -> bool:
    """Whether a connection is still open on which the local AWS with that secret has proved itself."""
    now = time.monotonic()
    with _lock:
        kept = [connections for target, connections in _kept.items() if secret and target.secret == secret]
    return any(each.is_open() for connections in kept if now < connections.until for each in connections.idle)


def _place(target: InvokeTarget) -> InvokeTarget:
    """Return what a target has in common with those of other functions, and of other ways to invoke them."""
    return replace(target, url=target.url._replace(path=""), asynchronous=False)


def _close_unused() -> None:
    global _watch
    while True:
        with _lock:
            now = time.monotonic()
            expired = [_kept.pop(place) for place, kept in list(_kept.items()) if kept.until <= now]
            soonest = min((kept.until for kept in _kept.values()), default=None)
            if soonest is None:
                _watch = None
        for connections in expired:
            connections.close()
        if soonest is None:
            return
        # An event loop ends only once nothing refers to its connections: hold none while sleeping.
        del expired
        time.sleep(soonest - now)


def _forget() -> None:
    """Start anew in a forked process, which has neither its parent's threads nor a use for its connections."""
    global _lock, _kept, _watch, _of_parent
    _of_parent, _kept = _kept, {}
    _lock, _watch = threading.Lock(), None


_of_parent: dict[InvokeTarget, Connections] = {}
"""Never closed: that would wait for the parent's event loop."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
