"""Replies that have arrived but were not read yet.

They are added by the threads that receive replies, and removed by the job's own.
"""

from __future__ import annotations

import threading

from lithops_magic.aws.invoke.outcomes import Outcome, Reply

MAX_BYTES = 16_000_000
"""Bytes of unread replies above which nothing more is sent: it would return to a client that is behind already."""


class Unread:
    """Counts the bytes of a job's unread replies."""

    def __init__(self) -> None:
        self.bytes = 0
        self._lock = threading.Lock()

    @property
    def too_many(self) -> bool:
        """Whether to read some before more is sent."""
        return self.bytes > MAX_BYTES

    def add(self, outcome: Outcome) -> None:
        """Note that a reply has arrived."""
        self._count(outcome, 1)

    def remove(self, outcome: Outcome) -> None:
        """Note that a reply is being read."""
        self._count(outcome, -1)

    def _count(self, outcome: Outcome, sign: int) -> None:
        if isinstance(outcome, Reply):
            # Adding in place is not atomic.
            with self._lock:
                self.bytes += sign * len(outcome.payload)
