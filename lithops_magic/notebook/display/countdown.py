"""The seconds that a job will still take, as a number that counts down."""

from __future__ import annotations

_STEADINESS = 2.0
"""Seconds over which a new estimate takes the place of the old one, at least."""
_WRONG = 1.25
"""How many times the number shown an estimate must be before the number may go up."""


class Countdown:
    """Smooths estimates of the time left: one that jumps to and fro tells nothing."""

    def __init__(self) -> None:
        self._end: float | None = None
        self._at = 0.0
        self._shown = 0.0

    def left(self, estimate: float | None, now: float) -> float | None:
        """Return the seconds to show at `now` (monotonic) for an estimate made then; None if there is none yet."""
        if estimate is None:
            return None
        if self._end is None:
            self._end, self._shown = now + estimate, estimate
        else:
            passed = now - self._at
            share = min(1.0, passed / max(_STEADINESS, self._shown / 4))
            self._end += (now + estimate - self._end) * share
            left = max(0.0, self._end - now)
            # A little late is better waited for than told: the number stands still meanwhile.
            self._shown = left if left > _WRONG * self._shown + 1 else min(left, self._shown)
        self._at = now
        return self._shown
