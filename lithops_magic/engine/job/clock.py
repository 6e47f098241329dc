"""Time as a job sees it; code that runs jobs without waiting, such as a test, substitutes its own clock."""

from __future__ import annotations

import queue
import time
from typing import Any


class Clock:
    """The machine's clock, and queues that wait by it."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def queue(self) -> queue.SimpleQueue[Any]:
        """Return a queue whose `get` waits by this clock."""
        return queue.SimpleQueue()


CLOCK = Clock()
