"""Waiting for a job and stopping it, in the words of `concurrent.futures` and asyncio."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any, Self

from lithops_magic.engine.job.job import Job

# Signals are handled only between waits, and an interrupt must be noticed within a tenth of a second.
TICK = 0.1


class Waiting:
    """A job as something that can be waited for."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __await__(self) -> Generator[Any, None, Self]:
        import asyncio

        loop = asyncio.get_running_loop()
        over = loop.create_future()

        def tell() -> None:
            if not over.done():
                over.set_result(None)

        def told() -> None:
            with suppress(RuntimeError):  # the event loop was closed in the meantime
                # The job's thread ends it, and asyncio's futures belong to the loop's thread.
                loop.call_soon_threadsafe(tell)

        self._job.when_over(told)
        yield from over
        return self

    def done(self) -> bool:
        """Whether the job is over: finished, cancelled or broken."""
        return self._job.over

    def running(self) -> bool:
        """Whether the job is not over."""
        return not self.done()

    def cancelled(self) -> bool:
        """Whether the job was stopped."""
        return self._job.snapshot().state == "cancelled"

    def cancel(self) -> bool:
        """Send nothing more and return at once; results of what is in flight are still kept when they arrive.

        Returns
        -------
        bool
            Whether that stopped the job; False if it was over already.
        """
        running = self.running()
        self._job.cancel()
        return running

    def _wait_for_end(self, timeout: float | None) -> None:
        __tracebackhide__ = True
        if not self.wait(timeout):
            raise TimeoutError(
                f"the job has not finished after {timeout:g} s: {self._job.snapshot().state}; it continues"
            )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job is over; return whether it is.

        Parameters
        ----------
        timeout
            Maximum seconds to wait; None waits for the end.
        """
        __tracebackhide__ = True
        deadline = None if timeout is None else time.monotonic() + timeout
        # Not on `changed`, which would wake this thread for every task.
        while not self._job.over:
            left = TICK if deadline is None else deadline - time.monotonic()
            if left <= 0:
                break
            # Also takes items, if this is the thread that does.
            self._job.await_end(min(left, TICK))
        return self.done()
