"""Asynchronous invocations: accepted at once, run when there is room, and tried again as Lambda does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from lithops_magic.local.model import RunnableVersion, ServiceError
from lithops_magic.local.sandbox.runtime import Invoked

THROTTLE_DELAYS = (1.0, 300.0)
"""First and longest wait in seconds of an event that was throttled; it doubles in between."""

Run = Callable[[str, str | None, bytes, str], Awaitable[tuple[RunnableVersion, Invoked]]]


class EventQueue:
    """Keeps accepted events until they have run, have failed too often or are too old.

    Parameters
    ----------
    run
        Runs one attempt.
    settings
        Returns the further attempts and the greatest age in seconds of a function's events.
    retry_delays
        Seconds before each further attempt; the last one repeats.
    """

    def __init__(
        self, run: Run, settings: Callable[[str, str | None], tuple[int, int]], retry_delays: tuple[float, ...]
    ) -> None:
        self._run = run
        self._settings = settings
        self._retry_delays = retry_delays
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, name: str, qualifier: str | None, payload: bytes, request_id: str) -> None:
        """Accept one event; which code it runs is decided when its turn comes."""
        task = asyncio.get_running_loop().create_task(self._process(name, qualifier, payload, request_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _process(self, name: str, qualifier: str | None, payload: bytes, request_id: str) -> None:
        accepted = time.monotonic()
        failures = throttles = 0
        while True:
            try:
                _, invoked = await self._run(name, qualifier, payload, request_id)
                if invoked.function_error is None:
                    return
                delay = self._retry_delays[min(failures, len(self._retry_delays) - 1)]
                failures += 1
            except ServiceError as error:
                if error.status != 429:
                    return
                delay = min(THROTTLE_DELAYS[0] * 2**throttles, THROTTLE_DELAYS[1])
                throttles += 1
            if not self._may_retry(name, qualifier, failures, time.monotonic() + delay - accepted):
                return
            await asyncio.sleep(delay)

    def _may_retry(self, name: str, qualifier: str | None, failures: int, age: float) -> bool:
        try:
            retries, greatest_age = self._settings(name, qualifier)
        except ServiceError:
            # The function was deleted meanwhile.
            return False
        return failures <= retries and age <= greatest_age
