"""Asynchronous invocations: accepted at once, run when there is capacity, and retried as Lambda does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Awaitable, Callable

from lithops_magic.local.model import RunnableVersion, ServiceError
from lithops_magic.local.sandbox.runtime import Invoked

THROTTLE_DELAYS = (1.0, 30.0)
"""First and longest wait in seconds of a throttled event; it doubles in between, with jitter. AWS's longest is 300;
here an event that ends wakes the one that has waited longest."""

Run = Callable[[str, str | None, bytes, str], Awaitable[tuple[RunnableVersion, Invoked]]]


class EventQueue:
    """Holds accepted events until they have run, failed too often, or expired.

    Parameters
    ----------
    run
        Runs one attempt.
    settings
        Returns the retries and the maximum age in seconds of a function's events.
    retry_delays
        Seconds before each retry; the last one repeats.
    """

    def __init__(
        self, run: Run, settings: Callable[[str, str | None], tuple[int, int]], retry_delays: tuple[float, ...]
    ) -> None:
        self._run = run
        self._settings = settings
        self._retry_delays = retry_delays
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Event] = {}
        """The throttled events, by number: the smaller, the earlier it was accepted."""

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
        accepted, number = time.monotonic(), next(self._numbers)
        failures = throttles = 0
        while True:
            throttled = False
            try:
                _, invoked = await self._run(name, qualifier, payload, request_id)
                self._wake_next()
                if invoked.function_error is None:
                    return
                delay = self._retry_delays[min(failures, len(self._retry_delays) - 1)]
                failures += 1
            except ServiceError as error:
                if error.status != 429:
                    return
                delay = min(THROTTLE_DELAYS[0] * 2 ** min(throttles, 9), THROTTLE_DELAYS[1]) * random.uniform(0.5, 1.0)
                # Not executed, so it is no failed attempt: only the event's age limits how often this may happen.
                throttles, throttled = throttles + 1, True
            if not self._may_retry(name, qualifier, failures, time.monotonic() + delay - accepted):
                return
            await (self._wait_turn(number, delay) if throttled else asyncio.sleep(delay))

    async def _wait_turn(self, number: int, delay: float) -> None:
        """Wait for `delay`, or less if an event ends and this one is next in line."""
        turn = self._waiting[number] = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(turn.wait(), delay)
        self._waiting.pop(number, None)

    def _wake_next(self) -> None:
        """Wake the event that has waited longest."""
        if self._waiting:
            self._waiting.pop(min(self._waiting)).set()

    def _may_retry(self, name: str, qualifier: str | None, failures: int, age: float) -> bool:
        try:
            retries, greatest_age = self._settings(name, qualifier)
        except ServiceError:
            # The function has been deleted in the meantime.
            return False
        return failures <= retries and age <= greatest_age
