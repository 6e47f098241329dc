"""Throttled events: none waits in step with the others, and who waited longest has its turn first."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

from lithops_magic.local.control.event_queue import EventQueue
from lithops_magic.local.model import ServiceError


class Slots:
    """A function for which there are so many sandboxes."""

    def __init__(self, slots: int, seconds: float = 0.02) -> None:
        self.free, self.seconds = slots, seconds
        self.ran: list[str] = []
        self.attempts: Counter[str] = Counter()

    async def run(self, name: str, qualifier: str | None, payload: bytes, request_id: str) -> Any:
        self.attempts[request_id] += 1
        if not self.free:
            raise ServiceError("TooManyRequestsException", "Rate Exceeded.", status=429)
        self.free -= 1
        await asyncio.sleep(self.seconds)
        self.free += 1
        self.ran.append(request_id)
        return None, SimpleNamespace(function_error=None)


def drained(slots: Slots, events: int) -> None:
    async def main() -> None:
        queue = EventQueue(slots.run, lambda *_: (2, 21_600), (60.0,))
        for number in range(events):
            queue.put("function", None, b"{}", f"{number:03}")
        async with asyncio.timeout(60):
            while len(slots.ran) < events:
                await asyncio.sleep(0.01)
        await queue.close()

    asyncio.run(main())


def test_many_events_on_two_slots_all_run_within_a_minute() -> None:
    # Doubling waits in step would take a hundred times as long; with all tried whenever one ends, the last would be
    # tried fifty times.
    slots = Slots(2)
    drained(slots, 100)
    assert sorted(slots.ran) == [f"{number:03}" for number in range(100)]
    assert max(slots.attempts.values()) <= 12


def test_who_waited_longest_has_its_turn_first() -> None:
    slots = Slots(1)
    drained(slots, 20)
    assert slots.ran == sorted(slots.ran)
