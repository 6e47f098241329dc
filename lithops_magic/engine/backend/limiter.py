"""How many invocations may be in flight: what AWS last accepted, growing as fast as AWS starts sandboxes."""

from __future__ import annotations

import random

BURST = 1000
"""Sandboxes of one function that AWS starts at once."""
SCALING = 100.0
"""Further sandboxes per second: AWS's quota is a thousand per ten seconds."""
TICK = 0.1
"""Seconds after which a growing limit is worth another look."""
_MAX_STEP = 1.0
"""Seconds of growth at a time, at most."""
_DECREASE = 0.7
"""Factor by which a burst of throttles lowers the limit."""
_FIRST_PAUSE = 0.1
_MAX_PAUSE, _MAX_SETBACK, _MAX_FULL = 10.0, 3.0, 2.0
"""Longest pauses in seconds: if AWS is asked too fast, if it is unknown whether invocations run, and if AWS has no
sandboxes."""
_OUTAGE = 3
"""Consecutive invocations of unknown fate that count as an outage."""
_PROBE = 0.1
"""Seconds before probing for more sandboxes than AWS had: a refusal is cheap if nothing pauses because of it."""
_FIRST_INVOCATIONS = 8
_DOUBLING_SECONDS = 0.25
"""`ramp` starts with the former and doubles them in the latter: without a reply, there are 1,000 after 1.7 seconds."""
PATIENCE = 300.0
"""Seconds of nothing but throttles after which a job gives up."""


def ramp(seconds: float, replies: int) -> int:
    """Invocations that may be in flight before tasks are known to be worth a sandbox each.

    A thousand tiny tasks must not cost a thousand cold starts, and long tasks do not notice the second of ramp-up.

    Parameters
    ----------
    seconds
        Seconds since the first one could be sent.
    replies
        Invocations answered so far.
    """
    return int(_FIRST_INVOCATIONS * 2 ** min(20.0, seconds / _DOUBLING_SECONDS)) + 2 * replies


class Limiter:
    """Limits invocations in flight to what AWS accepts.

    The limit grows over time while it is in use, by at most 50 % per second. A burst of throttles lowers it by a
    factor; if AWS simply has no more sandboxes, it drops to what AWS accepted. In that case nothing needs to pause:
    each reply makes room for one invocation, and only now and then one more is tried. While it is unknown whether
    invocations run at all, they are sent one at a time.

    Parameters
    ----------
    most
        Upper bound of the limit.
    """

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        # Optimistic: AWS starts that many at once, and `ramp` holds back tiny tasks.
        self._limit = float(min(self.most, BURST))
        self._least = 1.0
        """The limit after a burst of throttles if AWS's capacity is unknown."""
        self._held = 0
        """How many of the invocations in flight at the last sending AWS accepted, as far as is known."""
        self._grown_at = 0.0
        """Up to when time has been counted as growth; lies in the future after a throttle."""
        self.disturbed = False
        """Whether it is unknown if invocations run at all."""
        self._setbacks = 0
        self._pause = _FIRST_PAUSE
        self._quiet_until = 0.0
        self._throttled_since: float | None = None

    @property
    def limit(self) -> int:
        """Invocations that may be in flight now."""
        return max(1, self.whole)

    @property
    def whole(self) -> int:
        """The limit of one function among several, which may have no sandbox at all."""
        return 1 if self.disturbed else int(self._limit)

    def pause(self, now: float) -> float:
        """Seconds to send nothing; 0 if sending is allowed."""
        return max(0.0, self._quiet_until - now)

    def filled(self, now: float, in_flight: int, more: bool) -> None:
        """Everything allowed was sent, `in_flight` in all; raise the limit if it is fully used and `more` waits."""
        self._held = in_flight
        # A pause between items must not count as time in which the limit was in use.
        elapsed, self._grown_at = min(now - self._grown_at, _MAX_STEP), max(now, self._grown_at)
        if more and elapsed > 0 and in_flight >= self.whole:
            self._limit = min(self.most, self._limit + elapsed * min(SCALING, max(2.0, self._limit / 2)))

    def accepted(self) -> None:
        """An invocation ran."""
        self._pause = _FIRST_PAUSE
        self.calm()

    def calm(self) -> None:
        """An invocation of this function or another one ran."""
        self._throttled_since = None
        self.disturbed, self._setbacks = False, 0

    def setback(self, now: float) -> None:
        """It is unknown whether an invocation ran: unless it is a single case, send one at a time until one runs."""
        self._held -= 1
        self._setbacks += 1
        # If nothing else is in flight, nothing shows that the service works.
        if self._setbacks >= _OUTAGE or self._held <= 0:
            self.disturb(now)

    def disturb(self, now: float) -> None:
        """Send one at a time until one runs."""
        self.disturbed = True
        self._limit = max(1.0, self._limit * _DECREASE) if now >= self._quiet_until else self._limit
        self._back_off(now, _MAX_SETBACK)

    def throttled(self, now: float, retry_after: float | None, *, full: bool, others: bool = False) -> None:
        """AWS throttled an invocation.

        Parameters
        ----------
        now
            Monotonic seconds.
        retry_after
            Seconds to wait, if AWS says so.
        full
            Whether AWS has no more sandboxes, as opposed to being asked too fast.
        others
            Whether other functions of this job have invocations in flight: then this one's limit may drop to 0.
        """
        if self._throttled_since is None:
            self._throttled_since = now
        self._held -= 1
        # A burst of throttles counts once: a decrease for each of a hundred would end at one.
        if now >= self._grown_at:
            self._least = max(1.0, self._limit * _DECREASE)
        if full and (self._held > 0 or others):
            # What is in flight is what AWS has sandboxes for.
            self._limit = min(self._limit, max(0, self._held))
            self._grown_at = max(self._grown_at, now + max(_PROBE, retry_after or 0.0))
            return None
        self._limit = self._least
        return self._back_off(now, _MAX_FULL if full else _MAX_PAUSE, retry_after or 0.0)

    def _back_off(self, now: float, longest: float, least: float = 0.0) -> None:
        """Pause sending, longer with each consecutive burst of bad news."""
        wait = least
        if now >= self._quiet_until:
            # With jitter, so that several kernels behind one outage do not return in step.
            wait = max(least, self._pause * random.uniform(0.5, 1.5))
            self._pause = min(longest, self._pause * 2)
        self._quiet_until = max(self._quiet_until, now + wait)
        self._grown_at = max(self._grown_at, self._quiet_until)

    def stalled(self, now: float) -> bool:
        """Whether there has been nothing but throttles for `PATIENCE` seconds."""
        return self._throttled_since is not None and now - self._throttled_since > PATIENCE
