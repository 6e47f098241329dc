"""How many invocations may be in flight: additive increase, multiplicative decrease, exponential back-off."""

from __future__ import annotations

import random

_DECREASE = 0.7
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_FIRST_INVOCATIONS = 8
_DOUBLING_SECONDS = 0.25
PATIENCE = 300.0
"""Seconds without any answer but throttles after which a job gives up."""


def ramp(seconds: float, replies: int) -> int:
    """Invocations that may be in flight while tasks are not known to be worth a sandbox each.

    A thousand tiny tasks must not cost a thousand cold starts, and long ones do not notice the second that it takes.

    Parameters
    ----------
    seconds
        Since the first one could be sent.
    replies
        Invocations answered so far.
    """
    return int(_FIRST_INVOCATIONS * 2 ** min(20.0, seconds / _DOUBLING_SECONDS)) + 2 * replies


class Limiter:
    """Keeps the invocations in flight below what AWS accepts.

    Parameters
    ----------
    most
        The limit it never exceeds.
    """

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        self._limit = float(self.most)
        self._pause = _FIRST_PAUSE
        self._quiet_until = 0.0
        self._throttled_since: float | None = None

    @property
    def limit(self) -> int:
        """Invocations that may be in flight now."""
        return max(1, int(self._limit))

    def pause(self, now: float) -> float:
        """Seconds to send nothing; 0 if sending is allowed."""
        return max(0.0, self._quiet_until - now)

    def accepted(self) -> None:
        """An invocation was executed."""
        self._limit = min(self.most, self._limit + 1 / self._limit)
        self._pause = _FIRST_PAUSE
        self._throttled_since = None

    def throttled(self, now: float, retry_after: float | None) -> None:
        """AWS refused an invocation for its rate or its number."""
        if self._throttled_since is None:
            self._throttled_since = now
        # One burst of refusals is one piece of news: a decrease for each of a hundred would end at one.
        if now < self._quiet_until:
            self._quiet_until = max(self._quiet_until, now + (retry_after or 0.0))
            return
        self._limit = max(1.0, self._limit * _DECREASE)
        wait = self._pause * random.uniform(0.5, 1.5)
        self._quiet_until = now + max(wait, retry_after or 0.0)
        self._pause = min(_LONGEST_PAUSE, self._pause * 2)

    def stalled(self, now: float) -> bool:
        """Whether nothing but throttles came for `PATIENCE` seconds."""
        return self._throttled_since is not None and now - self._throttled_since > PATIENCE
