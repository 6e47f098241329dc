"""Time as a job sees it: what runs jobs without waiting, as a test does, puts its own in its place."""

from __future__ import annotations

import queue
import time
from typing import Any


class Clock:
    """The machine's time, and queues on which one waits by it."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def queue(self) -> queue.SimpleQueue[Any]:
        """Return a queue that `get` waits on by this clock."""
        return queue.SimpleQueue()


CLOCK = Clock()
