"""Reports a job's events to callbacks in a separate thread, so that their time and errors do not affect the job."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from lithops_magic.engine.job.events import Event
from lithops_magic.engine.job.snapshot import Snapshot

PATIENCE = 5.0
"""Seconds that the end of a job waits for slow callbacks."""


class Listeners:
    """The callbacks of one job, called one after another, in the order of the events.

    `tell` may be called from any thread; callbacks never block the job's thread.

    Parameters
    ----------
    callbacks
        Called with each event and the job's state at the time.
    say
        Told about a callback that raised, which is not called again.
    """

    def __init__(self, callbacks: Sequence[Callable[[Event, Snapshot], Any]], say: Callable[[str], None]) -> None:
        self._callbacks = list(callbacks)
        self._say = say
        self._news: queue.SimpleQueue[tuple[Event, Snapshot] | threading.Event] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def tell(self, event: Event, snapshot: Snapshot) -> None:
        """Queue an event for the callbacks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lithops-magic-callbacks", daemon=True)
            self._thread.start()
        self._news.put((event, snapshot))

    def catch_up(self) -> None:
        """Wait until the callbacks have received all events so far."""
        # A callback that waits for the job would wait for itself.
        if self._thread is None or not self._thread.is_alive() or self._thread is threading.current_thread():
            return
        reached = threading.Event()
        self._news.put(reached)
        reached.wait(PATIENCE)

    def _run(self) -> None:
        over = False
        while not over:
            news = self._news.get()
            if isinstance(news, threading.Event):
                news.set()
                continue
            self._call(*news)
            # Replies to invocations in flight when the job was stopped are still reported.
            over = news[1].finished and not news[1].running
        while not self._news.empty():
            news = self._news.get()
            news.set() if isinstance(news, threading.Event) else self._call(*news)

    def _call(self, event: Event, snapshot: Snapshot) -> None:
        for callback in list(self._callbacks):
            try:
                callback(event, snapshot)
            except BaseException as error:  # even one that calls sys.exit: the thread is ours
                self._callbacks.remove(callback)
                name = getattr(callback, "__name__", type(callback).__name__)
                self._say(f"the callback {name} is no longer called: it raised {type(error).__name__}: {error}")
