"""Ends a task shortly before the platform would end its sandbox."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

DEADLINE_MARGIN = 0.5
"""Seconds reserved for sending the reply before the platform's timeout, or a tenth of what is left if that is less."""


class TimeIsUp(BaseException):
    """The function's time is up; a BaseException, so that no `except Exception` in user code swallows it."""

    def __str__(self) -> str:
        return "the function's time was up"


class Alarm:
    """Raises `TimeIsUp` in the user's code shortly before the platform would kill the sandbox.

    Parameters
    ----------
    end
        Time of that kill, on the monotonic clock.
    """

    def __init__(self, end: float) -> None:
        self.rang = self._armed = False
        self._end = end
        self.margin = min(DEADLINE_MARGIN, self.left() / 10)
        # Signals reach only the main thread of a POSIX process; elsewhere, the platform's kill has to do.
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
        # Zero would disarm the timer.
        signal.setitimer(signal.ITIMER_REAL, max(0.001, self.left() - self.margin))

    def _ring(self, *_: object) -> None:
        self.rang = True
        if self._armed:
            self._armed = False
            raise TimeIsUp

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Let the alarm raise within this block, or at once if it rang before; outside, it only records the time."""
        self._armed = True
        try:
            if self.rang:
                self._ring()
            yield
        finally:
            self._armed = False
            if self._usable and not self.rang:
                # User code may have taken over the process's only alarm.
                is_set = signal.getsignal(signal.SIGALRM) is self._handler and signal.getitimer(signal.ITIMER_REAL)[0]
                if not is_set:
                    self._set()

    def stop(self) -> None:
        """Cancel the alarm and restore the process's signal handler."""
        if self._usable:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._previous)
