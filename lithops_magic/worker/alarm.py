"""Ends a task shortly before the platform would end its sandbox."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

DEADLINE_MARGIN = 0.5
"""Seconds kept to send the reply before the platform's own time-out, or a tenth of what is left if that is less."""


class TaskTimeout(BaseException):
    """The function's time is up; no `except Exception` of the user's may swallow it."""

    def __str__(self) -> str:
        return "the function's time was up"


class Alarm:
    """Raises `TaskTimeout` in the user's code shortly before the platform would kill the sandbox.

    Parameters
    ----------
    seconds
        Until the platform does that.
    """

    def __init__(self, seconds: float) -> None:
        self.rang = self._armed = False
        self.margin = min(DEADLINE_MARGIN, seconds / 10)
        self._end = time.monotonic() + seconds
        # Signals reach the main thread of a POSIX process only; elsewhere the platform's kill has to do.
        self._usable = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
        if self._usable:
            self._previous = signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, max(0.001, seconds - self.margin))

    def left(self) -> float:
        """Seconds until the platform kills the sandbox."""
        return self._end - time.monotonic()

    def _ring(self, *_: object) -> None:
        self.rang = True
        if self._armed:
            self._armed = False
            raise TaskTimeout

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Let it ring in this block; elsewhere it only notes that the time is up."""
        self._armed = not self.rang
        try:
            yield
        finally:
            self._armed = False

    def stop(self) -> None:
        """Put the alarm off and the process's signal handler back."""
        if self._usable:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._previous)
