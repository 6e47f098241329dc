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
    end
        When the platform does that, on the monotonic clock.
    """

    def __init__(self, end: float) -> None:
        self.rang = self._armed = False
        self._end = end
        self.margin = min(DEADLINE_MARGIN, self.left() / 10)
        # Signals reach the main thread of a POSIX process only; elsewhere the platform's kill has to do.
        self._usable = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
        if self._usable:
            self._handler = self._ring  # one object, so that another's handler is recognized
            self._previous = signal.getsignal(signal.SIGALRM)
            self._set()

    def left(self) -> float:
        """Seconds until the platform kills the sandbox."""
        return self._end - time.monotonic()

    def _set(self) -> None:
        signal.signal(signal.SIGALRM, self._handler)
        signal.setitimer(signal.ITIMER_REAL, max(0.001, self.left() - self.margin))

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
            if self._usable and not self.rang and self._is_lost():
                self._set()

    def _is_lost(self) -> bool:
        """Whether the user's code has taken the process's only alarm for itself."""
        return signal.getsignal(signal.SIGALRM) is not self._handler or not signal.getitimer(signal.ITIMER_REAL)[0]

    def stop(self) -> None:
        """Put the alarm off and the process's signal handler back."""
        if self._usable:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._previous)
