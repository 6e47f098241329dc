"""The routes to a job's functions: one, and others with more memory if tasks ran out of it."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from lithops_magic.engine.backend.allowance import FunctionCopy
from lithops_magic.engine.backend.connection import Link
from lithops_magic.engine.backend.endpoint import Backend, Endpoint
from lithops_magic.engine.job.clock import CLOCK, Clock
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.function import request_name
from lithops_magic.errors import InvokeError
from lithops_magic.packages import Need


# Compared by identity: flights are keys of `Lane.flights`, and tell a late reply from the current one.
@dataclass(slots=True, eq=False)
class Flight:
    """One invocation in flight."""

    lane: Lane
    tasks: list[Task]
    endpoint: Endpoint
    sent_at: float
    copied: int = 0
    """Number of copies sent of its tasks, including itself if it is one."""
    name: str = field(default_factory=request_name)
    """Unique name of its request, which the reply must quote."""
    to: FunctionCopy = field(default_factory=FunctionCopy)
    """The copy of the function it was sent to."""

    def undecided(self) -> list[Task]:
        """The tasks without an outcome and, once this has landed, without a copy that may still bring one."""
        return [task for task in self.tasks if not task.settled and not task.flights]

    def uncopied(self) -> list[Task]:
        """The tasks without an outcome and without another invocation that may bring one."""
        return [task for task in self.tasks if not task.settled and task.flights == 1]


class Lane:
    """The tasks waiting for one function, and the invocations in flight to it.

    Parameters
    ----------
    backend
        Where the function runs.
    notify
        Told each step of connecting; an empty string when done.
    clock
        Clock by which invocations are sent.
    """

    def __init__(self, backend: Backend, notify: Callable[[str], None], clock: Clock = CLOCK) -> None:
        self.backend = backend
        self.link = Link(backend, notify, clock)
        self._clock = clock
        self.waiting: deque[Task] = deque()
        self.resting: list[tuple[Task, float]] = []
        """Tasks that lost an attempt to a possible outage, and the share of their attempts they have used up."""
        self.flights: dict[Flight, None] = {}
        """In the order sent."""
        self.ready = False
        """Whether its function is deployed."""

    def wake(self, now: float) -> None:
        """Put tasks that have rested long enough back at the head of the queue."""
        if not self.resting:
            return
        rested = [task for task, share in self.resting if not self.link.rest(share, now)]
        self.resting = [entry for entry in self.resting if self.link.rest(entry[1], now)]
        if self.link.silent:
            # Behind those that have lost nothing yet, which make better probes.
            self.waiting.extend(rested)
        else:
            self.waiting.extendleft(reversed(rested))

    def next_rested(self, now: float) -> float | None:
        """Seconds until the next task has rested long enough; None if none rests."""
        return min((self.link.rest(share, now) for _, share in self.resting), default=None)

    def take(self, size: int, fit: Callable[[Sequence[int]], int]) -> list[Task]:
        """Take the next chunk from the queue.

        Parameters
        ----------
        size
            The maximum number of tasks.
        fit
            Returns how many of the tasks, given their encoded sizes, fit in one request.
        """
        waiting = self.waiting
        if waiting[0].alone or size == 1:
            return [waiting.popleft()]
        size = min(size, len(waiting))
        kind = waiting[0].kind
        # Tasks that must be alone, or of another kind, end a chunk; skipping them would change the order of tasks.
        count = next((i for i in range(size) if waiting[i].alone or waiting[i].kind != kind), size)
        count = fit([len(waiting[i].fragment) for i in range(count)])
        return [waiting.popleft() for _ in range(count)]

    def launch(self, tasks: list[Task], *, copied: int = 0) -> Flight:
        """Record that `tasks` are sent in one invocation; `copied`: number of copies, including this one."""
        now = self._clock.now()
        flight = Flight(self, tasks, self.link.endpoint, now, copied, to=self.link.allowance.take(now))
        for task in tasks:
            task.flights += 1
        self.flights[flight] = None
        return flight

    def land(self, flight: Flight) -> None:
        """Record that an invocation was answered."""
        del self.flights[flight]
        flight.to.in_flight -= 1
        for task in flight.tasks:
            task.flights -= 1

    def redirect(self) -> None:
        """Deploy what the backend has become; invocations in flight are still answered."""
        self.link.redirect(self.backend)


@dataclass(frozen=True, slots=True)
class Opened:
    """A lane with more memory is ready or unavailable."""

    lane: Lane
    error: Exception | None


class Lanes:
    """All lanes of a job, by increasing memory.

    Parameters
    ----------
    backend
        Where the first lane's function runs.
    notify
        Told each step of connecting to the first one.
    deliver
        Called, from another thread, when a further lane is ready or unavailable.
    clock
        Clock by which invocations are sent.
    """

    def __init__(
        self,
        backend: Backend,
        notify: Callable[[str], None],
        deliver: Callable[[Opened], None],
        clock: Clock = CLOCK,
    ) -> None:
        self._clock = clock
        self.first = Lane(backend, notify, clock)
        self._all = [self.first]
        self._deliver = deliver

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def waiting(self) -> int:
        """Tasks waiting to be sent."""
        return sum(len(lane.waiting) + len(lane.resting) for lane in self._all)

    @property
    def in_flight(self) -> int:
        """Invocations sent and not yet answered."""
        return sum(len(lane.flights) for lane in self._all)

    def overdue(self, now: float) -> list[Flight]:
        """The invocations that have gone unanswered for longer than they can take."""
        # In each lane they are in the order sent and have the same time limit.
        return [
            flight
            for lane in self._all
            for flight in itertools.takewhile(lambda one: now - one.sent_at > one.endpoint.patience, lane.flights)
        ]

    def oldest(self) -> float | None:
        """When the oldest invocation in flight was sent; callable from any thread."""
        try:
            firsts = [flight for lane in self._all for flight in itertools.islice(lane.flights, 1)]
        except RuntimeError:  # one was sent or answered just now
            return None
        return min((flight.sent_at for flight in firsts), default=None)

    def larger(self, lane: Lane, factor: float | None) -> Lane:
        """Return the lane for tasks that ran out of memory on `lane`: with `factor` times as much, if AWS allows it."""
        if following := self._all[self._all.index(lane) + 1 :]:
            return following[0]
        backend = lane.backend.larger(factor) if factor else None
        if backend is None:
            return lane
        larger = Lane(backend, _silent, self._clock)
        self._all.append(larger)
        # Deploying takes seconds, and the job's thread must go on with the other lanes.
        threading.Thread(target=self._open, args=(larger,), name="lithops-magic-deploy", daemon=True).start()
        return larger

    def opened(self, message: Opened) -> None:
        """Start using a lane.

        Raises
        ------
        InvokeError
            It is unavailable.
        """
        if (error := message.error) is not None:
            raise InvokeError(f"The function with more memory (retry_memory) cannot be deployed: {error}") from error
        message.lane.ready = True
        # What items need may have grown while it was being deployed.
        message.lane.redirect()

    def need(self, need: Need) -> None:
        """Have functions deployed from now on meet `need`."""
        for lane in self._all:
            lane.backend = lane.backend.needing(need)
            if not lane.ready and lane is self.first:
                # Not deployed yet: it starts with the larger need instead of being deployed twice.
                lane.link.backend = lane.backend

    def clear(self) -> None:
        """Discard all waiting tasks."""
        for lane in self._all:
            lane.waiting.clear()
            lane.resting.clear()

    def close(self) -> None:
        """Abandon invocations in flight."""
        for lane in self._all:
            lane.link.close()

    def _open(self, lane: Lane) -> None:
        error: Exception | None = None
        try:
            lane.link.connect()
        except Exception as failure:
            error = failure
        # Always, or the tasks waiting for this lane would wait forever.
        self._deliver(Opened(lane, error))


def _silent(_: str) -> None:
    """Say nothing: the job is running, and connecting to another function is not a phase of it."""
