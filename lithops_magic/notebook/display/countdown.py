"""A job's remaining seconds, as a number that counts down."""

from __future__ import annotations

_STEADINESS = 2.0
"""Minimum seconds over which a new estimate replaces the old one."""
_WRONG = 1.25
"""Factor by which an estimate must exceed the number shown before the number may increase."""


class Countdown:
    """Smooths estimates of the remaining time: a number that jumps up and down is useless."""

    def __init__(self) -> None:
        self._end: float | None = None
        self._at = 0.0
        self._shown = 0.0

    def left(self, estimate: float | None, now: float) -> float | None:
        """Return the seconds to show at `now` (monotonic), given an estimate made then; None if there is none yet."""
        if estimate is None:
            return None
        if self._end is None:
            self._end, self._shown = now + estimate, estimate
        else:
            passed = now - self._at
            # The longer the job still takes, the less a single estimate counts.
            share = min(1.0, passed / max(_STEADINESS, self._shown / 4))
            self._end += (now + estimate - self._end) * share
            left = max(0.0, self._end - now)
            # If the estimate is only slightly late, the number stands still until the estimate has caught up.
            self._shown = left if left > _WRONG * self._shown + 1 else min(left, self._shown)
        self._at = now
        return self._shown
