"""A Lambda in virtual time: a job of hours runs in milliseconds, in one thread, the same every time.

Whenever the scheduler waits for a message, virtual time advances to the next event. Items and replies are encoded and
sealed as usual, but nothing runs: a `Behaviour` decides the outcome of each invocation, and when it arrives.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
import queue
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from lithops_magic.aws.invoke.outcomes import Outcome, Reply, Throttle
from lithops_magic.aws.invoke.report import InvocationReport
from lithops_magic.engine import MapOptions
from lithops_magic.engine.backend.endpoint import Endpoint, Limits
from lithops_magic.engine.dispatch.items import Items, Source
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.durable.null_journal import NullJournal
from lithops_magic.engine.job.clock import Clock
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.wire.function import Function
from replies import sealed


class VirtualClock(Clock):
    """Time that passes only while something waits."""

    def __init__(self, start: float = 100.0) -> None:
        self.time = start
        self.is_stuck = False
        """Whether the scheduler has waited for something that never happens."""
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._number = itertools.count()

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.pass_until(self.time + seconds)

    def queue(self) -> queue.SimpleQueue[Any]:
        return VirtualQueue(self)  # type: ignore[return-value]

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """Call `what` after so many virtual seconds."""
        heapq.heappush(self._events, (self.time + seconds, next(self._number), what))

    def pass_until(self, end: float) -> None:
        """Advance to that time, with every event on the way."""
        while self._events and self._events[0][0] <= end:
            self.step()
        self.time = max(self.time, end)

    def step(self) -> None:
        """Advance to the next event."""
        at, _, what = heapq.heappop(self._events)
        self.time = max(self.time, at)
        what()

    def idle_until(self, end: float) -> bool:
        """Whether no event is due by that time."""
        return not self._events or self._events[0][0] > end


class Forever(BaseException):
    """The scheduler waits for something that never happens."""


class VirtualQueue:
    """A queue on which waiting lets virtual time pass."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._messages: deque[Any] = deque()

    def put(self, message: Any) -> None:
        self._messages.append(message)

    def get(self, timeout: float | None = None) -> Any:
        end = math.inf if timeout is None else self._clock.now() + timeout
        while not self._messages:
            if self._clock.idle_until(end):
                if end == math.inf:
                    self._clock.is_stuck = True
                    raise Forever
                self._clock.pass_until(end)
                raise queue.Empty
            self._clock.step()
        return self._messages.popleft()

    def empty(self) -> bool:
        return not self._messages

    def get_nowait(self) -> Any:
        if not self._messages:
            raise queue.Empty
        return self._messages.popleft()


@dataclass
class Sent:
    """An invocation as Lambda sees it."""

    at: float
    """Seconds since the start."""
    tasks: list[int]
    runs: list[int]
    """How often each of them was sent before."""
    copy: int = 0
    fragments: dict[int, dict[str, Any]] = field(default_factory=dict, repr=False)
    key: bytes = field(default=b"", repr=False)
    name: str = field(default="", repr=False)


Behaviour = Callable[[Sent], tuple[float, "Outcome | dict[str, Any] | None"]]
"""Returns the seconds until an invocation's outcome, and that or the fields of the worker's reply; None: no answer."""


def works(sent: Sent, seconds: float = 1.0, value: str = "", **more: Any) -> tuple[float, dict[str, Any]]:
    """Let every task take that long and return its item, or else `value`."""
    outcomes = [done(sent, task, seconds) | ({"value": value} if value else {}) for task in sent.tasks]
    return seconds * len(sent.tasks), {"outcomes": outcomes, **more}


def done(sent: Sent, task: int, seconds: float = 1.0) -> dict[str, Any]:
    """The outcome of a task that returns its item."""
    value = sent.fragments[task].get("data", "gAVOLg==")  # None, where the item is in S3
    return {"id": task, "status": "ok", "value": value, "started": 0.0, "seconds": seconds, "log": ""}


def platform_error(kind: str, message: str, used: int = 100, billed: float = 1000.0) -> Reply:
    """Return the platform's answer for a sandbox that did not reply."""
    payload = json.dumps({"errorType": kind, "errorMessage": message}).encode()
    return Reply(payload, "Unhandled", "", "id", InvocationReport(billed, int(billed), 512, used))


CRASH = platform_error("Runtime.ExitError", "RequestId: r Error: Runtime exited with error: exit status 1")


class VirtualLambda:
    """A backend and its sender."""

    grows = False

    def __init__(self, behaviour: Behaviour = works, *, workers: int = 4, **endpoint: Any) -> None:
        self.behaviour = behaviour
        self.clock = VirtualClock()
        self.sent: list[Sent] = []
        self.closed = False
        self.item_seconds = 0.0
        """Seconds an iterator takes for each request of items."""
        self.connects: list[bool] = []
        """The `afresh` of each connection."""
        self.more: VirtualLambda | None = None
        """The service for retries with more memory."""
        self._runs: Counter[int] = Counter()
        self._began = self.clock.now()
        self.endpoint = Endpoint(
            sender=self,
            workers=workers,
            limits=Limits(512, 7),
            local=False,
            reused=False,
            price=lambda billed_ms: billed_ms * 1e-6,
            request_price=1e-3,
            patience=3600.0,
        )
        self.endpoint = replace(self.endpoint, **endpoint)

    @property
    def times(self) -> list[float]:
        """When each invocation was sent, to the millisecond."""
        return [round(sent.at, 3) for sent in self.sent]

    @property
    def tasks(self) -> list[list[int]]:
        """The tasks of each invocation."""
        return [sent.tasks for sent in self.sent]

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:
        notify("connecting")
        self.connects.append(afresh)
        return replace(self.endpoint)

    def larger(self, factor: float) -> VirtualLambda | None:
        return self.more

    def needing(self, need: object) -> VirtualLambda:
        return self

    def send(self, payload: bytes, done: Callable[[Outcome], object]) -> None:
        event = json.loads(payload)
        fragments = {task["id"]: task for task in event["tasks"]}
        ids = list(fragments)
        runs = [self._runs[index] for index in ids]
        self._runs.update(ids)
        at = self.clock.now() - self._began
        sent = Sent(at, ids, runs, 0, fragments, bytes.fromhex(event["key"]), event["request"])
        self.sent.append(sent)
        seconds, outcome = self.behaviour(sent)
        if outcome is None:
            return
        if isinstance(outcome, dict):
            outcome = worker_reply(sent, seconds, outcome)
        self.clock.later(seconds, partial(done, outcome))

    def close(self) -> None:
        self.closed = True


class ScalingLambda(VirtualLambda):
    """Functions with a limited rate of new sandboxes, and a client that takes time to send each invocation.

    Parameters
    ----------
    behaviour
        As above.
    functions
        How often the function is deployed.
    burst, refill
        Sandboxes of each that can start at once, and further ones per second.
    client
        Seconds that the client needs for an invocation, and for each of its tasks.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        workers: int,
        functions: int,
        burst: int,
        refill: float,
        client: tuple[float, float],
    ) -> None:
        super().__init__(behaviour, workers=workers)
        ways = [FunctionWay(self, number) for number in range(functions)]
        self.endpoint = replace(self.endpoint, sender=ways[0], copies=tuple(ways[1:]))
        self.running = self.refused = 0
        self._client, self._burst, self._refill = client, burst, refill
        self._idle = [0] * functions
        self._bucket = [float(burst)] * functions
        self._filled = [self.clock.now()] * functions

    def send(self, payload: bytes, done: Callable[[Outcome], object], number: int = 0) -> None:
        each, task = self._client
        self.clock.sleep(each + task * payload.count(b'{"id":'))
        if self._starts(number):
            super().send(payload, partial(self._end, number, done))
        else:
            self.refused += 1
            self.clock.later(0.003, partial(done, Throttle("ConcurrentInvocationLimitExceeded: Rate Exceeded.")))

    def _starts(self, number: int) -> bool:
        now = self.clock.now()
        filled = self._bucket[number] + (now - self._filled[number]) * self._refill
        self._bucket[number], self._filled[number] = min(self._burst, filled), now
        if self.running >= self.endpoint.workers or (not self._idle[number] and self._bucket[number] < 1):
            return False
        if self._idle[number]:
            self._idle[number] -= 1
        else:
            self._bucket[number] -= 1
        self.running += 1
        return True

    def _end(self, number: int, done: Callable[[Outcome], object], outcome: Outcome) -> None:
        self.running -= 1
        self._idle[number] += 1
        done(outcome)


@dataclass
class FunctionWay:
    """The way to one of several functions."""

    service: ScalingLambda
    number: int

    def send(self, payload: bytes, done: Callable[[Outcome], object]) -> None:
        self.service.send(payload, done, self.number)

    def close(self) -> None:
        self.service.close()


def worker_reply(sent: Sent, seconds: float, says: dict[str, Any]) -> Reply:
    """What a worker answers, sealed."""
    used = says.pop("used", 90)
    reply = sealed({"sandbox": "one", "cold": False, **says}, sent.key, sent.name)
    report = InvocationReport(seconds * 1000, math.ceil(seconds * 1000), 512, used)
    return Reply(reply, None, "", "id", report)


@dataclass
class Ran:
    """A job that is over."""

    job: Job
    service: VirtualLambda
    seconds: float

    @property
    def values(self) -> list[Any]:
        return self.job.ledger.values

    @property
    def errors(self) -> dict[int, str]:
        return {index: str(error) for index, error in self.job.failed.items()}


def prepared(
    service: VirtualLambda,
    items: Iterable[Any],
    *,
    journal: NullJournal | None = None,
    processes: int | None = None,
    **options: Any,
) -> tuple[Job, Scheduler]:
    """A job that has not begun."""
    taken = Items(items)
    job = Job(MapOptions(**options), str, taken.total, abs, taken.owned, service.clock)
    source = Source(taken) if taken.owned is not None else VirtualSource(taken, service.clock, service.item_seconds)
    more: dict[str, Any] = {} if processes is None else {"processes": processes}
    return job, Checked(job, Function.pickle(abs), source, service, journal=journal, **more)


class VirtualSource(Source):
    """An iterator that takes virtual time for each request of items."""

    def __init__(self, items: Items, clock: VirtualClock, seconds: float) -> None:
        super().__init__(items, waits=True)
        self.requests: list[tuple[float, int]] = []
        """When items were requested, and how many."""
        self._clock, self._seconds, self._start = clock, seconds, clock.now()

    def ask(self, items: int) -> bool:
        before = self.asked
        found = super().ask(items)
        if self.asked > before:
            self.requests.append((round(self._clock.now() - self._start, 3), items))
            self._clock.later(self._seconds, lambda: self.serve(60.0))
        return found


class Checked(Scheduler):
    """A scheduler that fails the test if it has waited for something that never happens."""

    def run(self) -> None:
        super().run()
        clock = self._job.time
        assert isinstance(clock, VirtualClock)
        assert not clock.is_stuck, "it waited for ever"


def ran(service: VirtualLambda, items: Iterable[Any], **options: Any) -> Ran:
    """Run a job to its end, in this thread."""
    job, scheduler = prepared(service, items, **options)
    began = service.clock.now()
    scheduler.run()
    return Ran(job, service, round(service.clock.now() - began, 3))
