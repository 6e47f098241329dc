"""The tasks that wait for one function and the invocations in flight to it: a job has one, or more with more memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lithops_magic.engine.backend import Backend, Endpoint
from lithops_magic.engine.job import Task
from lithops_magic.engine.link import Link


@dataclass(slots=True, eq=False)
class Flight:
    """One invocation in flight."""

    lane: Lane
    tasks: list[Task]
    endpoint: Endpoint
    sent_at: float
    copied: bool = False
    """Whether it is a copy of another one, or another one is a copy of it."""


class Lane:
    """The way to one function.

    Parameters
    ----------
    backend
        Where the function runs.
    notify
        Told each step of connecting; an empty text when it is done.
    """

    def __init__(self, backend: Backend, notify: Callable[[str], None]) -> None:
        self.backend = backend
        self.link = Link(backend, notify)
        self.waiting: deque[Task] = deque()
        self.flights: dict[Flight, None] = {}
        """In the order in which they were sent."""
        self.ready = False
        """Whether its function is deployed."""

    def take(self, size: int, fit: Callable[[Sequence[int]], int]) -> list[Task]:
        """Take the next chunk from the queue.

        Parameters
        ----------
        size
            The most tasks it may have.
        fit
            Tells how many tasks, of the given encoded sizes, fit in one request.
        """
        waiting = self.waiting
        if waiting[0].alone:
            return [waiting.popleft()]
        size = min(size, len(waiting))
        count = next((i for i in range(size) if waiting[i].alone), size)
        count = fit([len(waiting[i].fragment) for i in range(count)])
        return [waiting.popleft() for _ in range(count)]

    def launch(self, tasks: list[Task], *, copied: bool = False) -> Flight:
        """Record that `tasks` are sent in one invocation."""
        flight = Flight(self, tasks, self.link.endpoint, time.monotonic(), copied)
        for task in tasks:
            task.flights += 1
        self.flights[flight] = None
        return flight

    def land(self, flight: Flight) -> None:
        """Record that an invocation was answered."""
        del self.flights[flight]
        for task in flight.tasks:
            task.flights -= 1
