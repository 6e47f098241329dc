"""A detached job: everything is handed to Lambda as asynchronous invocations, then monitored from afar."""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from lithops_magic.aws.invoke.outcomes import Ambiguous, Outcome, Reply
from lithops_magic.engine.backend.allowance import FunctionCopy
from lithops_magic.engine.backend.connection import Link
from lithops_magic.engine.backend.endpoint import UNLIMITED, Backend, Endpoint, NoSender
from lithops_magic.engine.backend.replay import AwaitedRequest, Replay, ReplayBackend
from lithops_magic.engine.durable import records
from lithops_magic.engine.durable.history import JobHistory
from lithops_magic.engine.durable.journal import Journal
from lithops_magic.engine.durable.kept_results import EVENT_AGE
from lithops_magic.engine.job.events import Phase
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.wire.function import EVENT_LIMIT, Function, Requests
from lithops_magic.engine.wire.item import spilled_fragment
from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import InvokeError, SerializationError
from lithops_magic.packages import Need

AT_ONCE = 64
"""Events in transit at the same time."""
TRIES = 12
"""Attempts to send an event, spread over at least 20 s, when it is unknown whether AWS received it: the worker runs an
event only once, however often it arrives."""
RUNS = 3
"""Deliveries of an event that fails: Lambda's default."""

LOST = (
    b'{"errorType":"Detached.NoResult","errorMessage":"it was sent and left no result in S3: its sandbox ended in '
    b'each run that it had, or Lambda could not begin it within six hours"}'
)


def runs(options: MapOptions) -> int:
    """Return how many times a task may be started."""
    return min(RUNS, options.retries + 1)


def lost() -> Reply:
    """Return the reply for a task that will never have a result."""
    return Reply(LOST, "Unhandled", "", "", None)


@dataclass(slots=True, eq=False)
class _Event:
    """One asynchronous invocation."""

    tasks: tuple[int, ...]
    payload: bytes
    tries: int = 0
    to: FunctionCopy = field(default_factory=FunctionCopy)
    """The copy of the function it was last sent to."""


class DetachedBackend:
    """Hands every task to Lambda on connecting; after that it only waits for results.

    Parameters
    ----------
    job, function, items, journal
        The job and its parts.
    options
        What the user asked for; Lambda does the retrying, not the job's scheduler.
    backend
        Sends asynchronous invocations.
    """

    grows = False

    def __init__(
        self,
        job: Job,
        function: Function,
        items: Sequence[Any],
        journal: Journal,
        options: MapOptions,
        backend: Backend,
    ) -> None:
        self._job = job
        self._function = function
        self._items = items
        self._journal = journal
        self._options = options
        self._link = Link(backend, self._notify)
        self._answers: queue.SimpleQueue[tuple[_Event, Endpoint, Outcome]] = queue.SimpleQueue()
        self._history = JobHistory(total=len(items))
        self._replay = ReplayBackend(job, self._history, self._endpoint, rest, "", lambda: EVENT_AGE, runs(options))

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:
        """Send everything, and return the endpoint that replaces the function from then on."""
        try:
            self._link.connect(afresh=afresh)
            endpoint = self._replay.connect(notify, afresh=afresh)
            self._send(deque(self._events()))
        # Including an interrupt: events that were accepted would go on running for a job that nobody can attach to.
        except BaseException:
            self.stop()
            raise
        finally:
            self._link.close()
        return endpoint

    def needing(self, need: Need) -> Backend:  # noqa: ARG002
        """Return itself: the needs of all items were known before anything was sent."""
        return self

    def larger(self, factor: float) -> Backend | None:  # noqa: ARG002
        """Return None: invocations already sent cannot be given more memory."""
        return None

    def stop(self) -> None:
        """Keep further tasks from starting, and wait only for those that have."""
        self._replay.stop()

    def _notify(self, text: str) -> None:
        self._job.publish(Phase(text))

    def _endpoint(self, _: Callable[[str], None]) -> Endpoint:
        # From here on nothing is sent: every task waits for its result, all of them at once.
        return replace(self._link.endpoint, sender=NoSender(), copies=(), workers=UNLIMITED)

    def _events(self) -> Iterator[_Event]:
        """Record everything, and yield the invocations."""
        store = self._link.endpoint.store
        assert store is not None
        rules = {"runs": runs(self._options), **self._options.keeping}
        place = Place.of_job(store, self._job.id, key=self._job.key, rules=rules)
        requests = self._function.place(place, len(self._items), key=self._job.key, limit=EVENT_LIMIT)
        taken = [
            records.SingleItem(index, _fragment(index, item, requests, place)) for index, item in enumerate(self._items)
        ]
        # Before the first event is sent: whoever attaches later must know every item that may run.
        self._journal.begin(place, [*taken, records.ItemCount(len(taken))])
        chunk: list[records.SingleItem] = []
        room = requests.room
        for each in taken:
            room -= len(each.fragment) + 1
            if chunk and (len(chunk) == (self._options.chunksize or 1) or room < 0):
                yield _event(chunk, requests)
                chunk, room = [], requests.room - len(each.fragment) - 1
            # An item that cannot be pickled is not sent; the scheduler fails it when it takes the same item.
            if each.fragment:
                chunk.append(each)
        if chunk:
            yield _event(chunk, requests)

    def _send(self, events: deque[_Event]) -> None:
        """Keep sending until AWS has accepted every event."""
        link, total, in_flight = self._link, len(events), 0
        while (events or in_flight) and not self._job.over:
            now = time.monotonic()
            pause = link.allowance.pause(now)
            while events and not pause and in_flight < min(AT_ONCE, link.allowance.allowed(now)):
                event = events.popleft()
                # Before sending, as an event that is on its way cannot be taken back.
                self._journal.invoked(event.tasks)
                # Lambda runs events in its own time, as fast as each copy of the function scales.
                event.to = link.allowance.take(now, evenly=True)
                sender = link.endpoint.senders[event.to.number]
                sender.send(event.payload, partial(self._heard, event, link.endpoint))
                in_flight += 1
            link.allowance.filled(time.monotonic(), bool(events))
            with contextlib.suppress(queue.Empty):
                event, endpoint, outcome = self._answers.get(timeout=pause or None)
                in_flight -= 1
                event.to.in_flight -= 1
                self._answered(event, outcome, events, current=endpoint is link.endpoint)
                self._notify(f"Sending events: {total - len(events) - in_flight:,} of {total:,}")

    def _heard(self, event: _Event, endpoint: Endpoint, outcome: Outcome) -> None:
        self._answers.put((event, endpoint, outcome))

    def _answered(self, event: _Event, outcome: Outcome, events: deque[_Event], *, current: bool) -> None:
        if isinstance(outcome, Reply):
            self._link.accepted(event.to)
            self._history.flying.update(event.tasks)
            return
        if not isinstance(outcome, Ambiguous):
            events.appendleft(event)
            # Outcomes from an endpoint that was already given up no longer matter.
            if current:
                self._link.turned_away(outcome, event.to)
            return
        event.tries += 1
        if event.tries == TRIES:
            raise InvokeError(f"AWS Lambda does not confirm that it accepts events: {outcome.message}")
        # Others go first, so that this one is not retried immediately.
        events.append(event)
        self._link.setback(outcome, event.to)


def _fragment(index: int, item: Any, requests: Requests, place: Place) -> bytes:
    """Return an item as encoded in a request; empty if it cannot be pickled, which its scheduler will report."""
    try:
        return spilled_fragment(index, item, requests.room, place)
    except SerializationError:
        return b""


def _event(chunk: Sequence[records.SingleItem], requests: Requests) -> _Event:
    return _Event(tuple(each.index for each in chunk), requests.request(each.fragment for each in chunk))


def rest(replay: Replay, request: AwaitedRequest, why: str) -> None:
    """Answer for a task that has no result and never will."""
    if why:
        request.done(lost())
    else:
        replay.leave(request.done)
