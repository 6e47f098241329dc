"""Runs one job: pulls items, fills chunks, keeps invocations in flight and decides what becomes of every answer."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lithops_magic.aws.outcomes import Ambiguous, Outcome, Reply, Throttled
from lithops_magic.engine import backups, replies
from lithops_magic.engine import events as ev
from lithops_magic.engine.backend import Backend
from lithops_magic.engine.backups import Stragglers
from lithops_magic.engine.billing import Bill
from lithops_magic.engine.budget import Budget
from lithops_magic.engine.chunks import Chunks
from lithops_magic.engine.job import Job, Task
from lithops_magic.engine.journal import Silent
from lithops_magic.engine.kept import Rescue
from lithops_magic.engine.lane import Flight, Lane
from lithops_magic.engine.limiter import TICK, ramp
from lithops_magic.engine.payload import Function, ItemTooLarge, Requests, fragment, spilled_fragment
from lithops_magic.engine.payload import Outcome as WorkerOutcome
from lithops_magic.engine.source import Exhausted, Pulled, Source
from lithops_magic.engine.spill import Place, Transfers
from lithops_magic.engine.units import plural
from lithops_magic.engine.versions import Versions
from lithops_magic.errors import (
    InvokeError,
    ItemError,
    LithopsMagicError,
    RemoteError,
    SerializationError,
    TaskError,
    TaskLost,
    TaskOutOfMemory,
    VersionMismatch,
)

_CHUNK_PATIENCE = 0.005


def _silent(_: str) -> None:
    """The job is running: a step towards another function is not its phase."""


@dataclass(frozen=True, slots=True)
class _Answer:
    flight: Flight
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Opened:
    """A lane with more memory is ready, or cannot be had."""

    lane: Lane
    error: Exception | None


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A value came from S3, or did not."""

    lane: Lane
    task: Task
    verdict: replies.Verdict


@dataclass(frozen=True, slots=True)
class _Uploaded:
    """An item is in S3, or is not."""

    lane: Lane
    task: Task
    fragment: bytes | LithopsMagicError


class _Cancel:
    pass


_Message = _Answer | _Fetched | _Uploaded | Pulled | Exhausted | _Opened | _Cancel


class Scheduler:
    """One daemon thread per job; everything it decides on arrives through one queue.

    Parameters
    ----------
    job
        Where results and events go.
    function
        What runs on every item.
    source
        The items.
    backend
        Where it runs.
    processes
        Tasks that one sandbox runs at the same time.
    journal
        Notes what another process would need to go on.
    """

    def __init__(
        self,
        job: Job,
        function: Function,
        source: Source,
        backend: Backend,
        processes: int = 1,
        journal: Silent | None = None,
    ) -> None:
        self._job = job
        self._function = function
        self._requests = Requests(b"")
        self._journal = journal or Silent()
        self._rescue = Rescue(None, 0.0)
        self._source = source
        self._lane = Lane(backend, self._notify)
        self._lanes = [self._lane]
        self._inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._transfers = Transfers(self._inbox.put)
        self._began = 0.0
        self._replies = 0
        self._versions = Versions(function.need)
        self._pulled_at = 0.0
        # With retries=0 no task may run twice, and one that is lost must take no other with it: each travels alone.
        fixed = job.options.chunksize or (1 if job.options.retries == 0 else None)
        self._chunks = Chunks(fixed, self._requests.room, processes)
        self._budget = Budget(job.options.max_cost)
        self._stragglers = Stragglers()
        job.on_cancel = lambda: self._inbox.put(_Cancel())

    def start(self) -> None:
        """Begin and return at once."""
        threading.Thread(target=self._run, name="lithops-magic-job", daemon=True).start()

    def _run(self) -> None:
        try:
            self._lane.link.connect()
            self._begin()
            self._loop()
        except Exception as error:
            self._job.break_off(error)
            self._drain()
        finally:
            self._source.stop()
            self._transfers.close()
            self._rescue.close()
            self._journal.close()
            for lane in self._lanes:
                lane.link.close()

    def _notify(self, text: str) -> None:
        self._job.publish(ev.Phase(text))

    def _begin(self) -> None:
        self._lane.ready = True
        endpoint = self._lane.link.endpoint
        self._place_function()
        self._rescue = Rescue(self._place, endpoint.limits.timeout)
        self._journal.start(self._place, self._oldest)
        self._began = time.monotonic()
        for note in endpoint.notes:
            self._job.publish(ev.Noted(note))
        self._job.publish(ev.Started(self._began, endpoint.limits.memory))
        self._source.start(self._inbox.put)

    def _place_function(self) -> None:
        """Bring the function to where the sandboxes will find it."""
        place = self._place
        if place is not None:
            self._job.download = place.download
        self._requests = self._function.place(place, self._job.snapshot().total)
        self._chunks.room = self._requests.room
        self._notify("")

    def _loop(self) -> None:
        while True:
            self._fill()
            if self._source.last and not self._waiting and not self._job.running and not self._transfers.pending:
                return self._end()
            with contextlib.suppress(queue.Empty):
                self._handle(self._inbox.get(timeout=self._patience()))
                while True:
                    self._handle(self._inbox.get_nowait())

    def _end(self) -> None:
        if overtaken := self._in_flight:
            self._job.publish(ev.Noted(f"{plural(overtaken, 'invocation')} that a copy overtook may still run, billed"))
        self._job.end()

    @property
    def _place(self) -> Place | None:
        """The job's place in S3, where the function that was deployed last finds it."""
        store = self._lane.link.endpoint.store
        after, key = self._job.options.keep_after, self._job.key
        return Place.of_job(store, self._job.id, after=after, key=key) if store else None

    @property
    def _waiting(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes)

    @property
    def _in_flight(self) -> int:
        return sum(len(lane.flights) for lane in self._lanes)

    def _patience(self) -> float | None:
        """How long to wait for news; None as long as it takes."""
        if self._job.over:
            return None
        now = time.monotonic()
        pauses = [self._pause(lane, now) for lane in self._lanes if lane.ready and lane.waiting]
        if self._job.options.backups and self._in_flight:
            pauses.append(backups.PERIOD)
        return min(pauses, default=None)

    def _pause(self, lane: Lane, now: float) -> float:
        """How long a lane with waiting tasks can be left alone; its limit may also grow without news."""
        at_limit = len(lane.flights) >= self._limit(lane, now)
        return max(TICK if at_limit else _CHUNK_PATIENCE, lane.link.limiter.pause(now))

    def _handle(self, message: _Message) -> None:
        match message:
            case Pulled():
                self._pull()
            case Exhausted(error):
                self._exhausted(error)
            case _Answer(flight, outcome):
                if self._is_rescued(flight, outcome):
                    return
                flight.lane.land(flight)
                self._answered(flight, outcome)
            case _Fetched(lane, task, verdict):
                self._fetched(lane, task, verdict)
            case _Uploaded(lane, task, encoded):
                self._uploaded(lane, task, encoded)
            case _Opened(lane, error):
                self._opened(lane, error)
            case _Cancel():
                self._stop()

    def _drain(self) -> None:
        """After the end, record what still arrives."""
        self._stop()
        while self._in_flight or self._transfers.pending:
            with contextlib.suppress(InvokeError):
                self._handle(self._inbox.get())

    def _stop(self) -> None:
        self._source.stop()
        for lane in self._lanes:
            lane.waiting.clear()

    def _exhausted(self, error: Exception | None) -> None:
        self._source.last = True
        if error is None:
            self._journal.counted()
        if not self._job.over:
            self._job.error = error
            self._job.publish(ev.Counted(len(self._job.ledger)))

    def _pull(self) -> None:
        self._pulled_at = time.monotonic()
        for item in self._source.take():
            self._add(item)

    def _add(self, item: Any) -> None:
        task = self._job.add(item)
        if task is None:
            return None
        try:
            task.fragment = fragment(task.index, task.item, self._requests.room)
            self._lane.waiting.append(task)
            self._journal.taken(task)
        except SerializationError as error:
            if isinstance(error, ItemTooLarge) and self._place is not None:
                return self._upload(self._lane, task)
            self._journal.taken(task)
            self._job.fail(task, replies.make(ItemError, task, str(error)), sent=False)

    def _fill(self) -> None:
        now = time.monotonic()
        if self._job.over:
            return
        for lane in self._lanes:
            if lane.ready and not lane.link.limiter.pause(now):
                self._fill_lane(lane, now)
        if self._job.options.backups and self._source.last and not self._waiting and not self._job.over:
            self._back_up(now)

    def _fill_lane(self, lane: Lane, now: float) -> None:
        limit = self._limit(lane, now)
        if lane is self._lane:
            self._ask(limit)
        while lane.waiting and len(lane.flights) < limit and self._ripe(lane, now) and not self._job.over:
            self._send(lane, lane.take(self._chunk_size(), self._chunks.fit))
        if lane.waiting and len(lane.flights) >= lane.link.limiter.limit:
            lane.link.limiter.reached(now)

    def _ask(self, limit: int) -> None:
        """Ask for the items that can be sent soon; not for each by itself, which would cost more than sending it."""
        lane = self._lane
        wanted = self._chunk_size() * (max(0, limit - len(lane.flights)) + 1)
        at_hand = len(lane.waiting) + self._source.asked + self._transfers.pending
        if at_hand <= wanted // 2 and self._source.ask(wanted - at_hand):
            self._pull()

    def _limit(self, lane: Lane, now: float) -> int:
        """Invocations that may be in flight on a lane."""
        limit: float = lane.link.limiter.limit
        if self._chunks.tiny and lane is self._lane:
            limit = min(limit, ramp(now - self._began, self._replies))
        if len(self._lanes) > 1:
            limit = min(limit, self._lane.link.endpoint.workers - self._in_flight + len(lane.flights))
        if self._job.options.max_cost is not None:
            limit = min(limit, self._affordable(lane))
        return int(limit)

    def _affordable(self, lane: Lane) -> float:
        snapshot = self._job.snapshot()
        affordable = self._budget.affordable(snapshot, lane.link.endpoint, self._chunk_size())
        if affordable < 1 and lane.waiting and not self._in_flight and not self._job.over:
            raise self._budget.spent(snapshot)
        return affordable

    def _ripe(self, lane: Lane, now: float) -> bool:
        """Whether the next chunk is full, or will not soon be fuller."""
        full = self._source.last or not self._source.asked or len(lane.waiting) >= self._chunk_size()
        return full or now - self._pulled_at >= _CHUNK_PATIENCE

    def _chunk_size(self) -> int:
        return self._chunks.size(self._job.queued, self._lane.link.limiter.limit)

    def _send(self, lane: Lane, tasks: list[Task]) -> None:
        if self._job.submit(tasks, lane.link.endpoint.limits.memory):
            self._invoke(lane.launch(tasks))

    def _back_up(self, now: float) -> None:
        """Send copies of invocations that take far too long, where there is room for them."""
        snapshot = self._job.snapshot()
        if snapshot.done + snapshot.failed < backups.LEAST_SHARE * (snapshot.total or 0):
            return
        for lane in self._lanes:
            room = self._limit(lane, now) - len(lane.flights)
            for flight in self._stragglers.among(list(lane.flights), now)[: max(0, room)]:
                flight.copied = True
                self._job.publish(ev.BackedUp(len(flight.tasks)))
                self._invoke(lane.launch([task for task in flight.tasks if not task.settled], copied=True))

    def _invoke(self, flight: Flight) -> None:
        payload = self._requests.request(task.fragment for task in flight.tasks)
        self._journal.sent(flight.tasks)
        flight.endpoint.sender.send(payload, lambda outcome: self._inbox.put(_Answer(flight, outcome)))

    def _oldest(self) -> float | None:
        """When the oldest invocation in flight was sent; may be called from any thread."""
        with contextlib.suppress(RuntimeError):  # one is sent or answered at this moment
            firsts = [flight for lane in self._lanes for flight in itertools.islice(lane.flights, 1)]
            return min((flight.sent_at for flight in firsts), default=None)
        return None

    def _is_rescued(self, flight: Flight, outcome: Outcome) -> bool:
        """Whether tasks behind a broken connection may still bring the results that they keep."""
        tasks = [task.index for task in flight.tasks if not task.settled]
        return self._rescue.takes(tasks, flight.sent_at, outcome, lambda found: self._inbox.put(_Answer(flight, found)))

    def _answered(self, flight: Flight, outcome: Outcome) -> None:
        self._journal.answered(flight.tasks, outcome)
        if isinstance(outcome, Reply):
            flight.lane.link.accepted()
            self._replied(flight, outcome)
            return
        tasks = list(self._undecided(flight))
        if isinstance(outcome, Ambiguous):
            for task in tasks:
                text = f"the connection broke, and it may have run: {outcome.message}"
                self._lose(flight.lane, task, replies.make(TaskLost, task, text))
            return
        throttled = isinstance(outcome, Throttled)
        self._return(flight.lane, tasks, ev.Throttled(len(tasks)) if throttled else ev.Returned(len(tasks)))
        # What comes from an endpoint that was given up already is no news.
        if flight.endpoint is flight.lane.link.endpoint and not self._job.over:
            flight.lane.link.turned_away(outcome, len(flight.lane.flights))

    def _undecided(self, flight: Flight) -> Iterator[Task]:
        """The tasks of an answered invocation that have no outcome yet and no copy that may still bring one."""
        return (task for task in flight.tasks if not task.settled and not task.flights)

    def _replied(self, flight: Flight, outcome: Reply) -> None:
        worker = replies.read(outcome)
        bill = Bill.of(outcome, worker, flight.endpoint)
        self._job.publish(bill.event)
        if worker is not None and worker.error:
            tasks = list(self._undecided(flight))
            self._return(flight.lane, tasks, ev.Returned(len(tasks)))
            raise (VersionMismatch if worker.mismatch else InvokeError)(worker.error)
        for note in self._versions.differences(worker, flight.endpoint.notes):
            self._job.publish(ev.Noted(note))
        limits = flight.endpoint.limits
        if worker is None or not worker.outcomes:
            verdicts = replies.judge_failure(outcome, flight.tasks, limits)
        else:
            verdicts = replies.judge(worker, flight.tasks, limits, self._job.name_code, bill.event.max_memory_mb)
            self._chunks.observe(len(worker.outcomes), bill.event.task_seconds, len(outcome.payload))
            self._stragglers.observe(flight, time.monotonic())
            self._replies += 1
        self._settle(flight, bill, verdicts)

    def _settle(self, flight: Flight, bill: Bill, verdicts: Sequence[replies.Verdict]) -> None:
        """Record what became of the tasks of an invocation, unless a copy was faster."""
        judged = [(task, verdict) for task, verdict in zip(flight.tasks, verdicts, strict=True) if not task.settled]
        began = self._job.began
        self._job.charge(
            (task.index, bill.charge(task.index, began))
            for task, verdict in judged
            if not isinstance(verdict, replies.NotRun)
        )
        self._job.finish([(task, v.value, v.log) for task, v in judged if isinstance(v, replies.Value)])
        for task, verdict in judged:
            if not isinstance(verdict, replies.Value):
                self._unsettled(flight.lane, task, verdict)

    def _unsettled(self, lane: Lane, task: Task, verdict: replies.Verdict) -> None:
        options = self._job.options
        match verdict:
            case replies.Fetch(outcome):
                self._fetch(lane, task, outcome)
            case replies.Final(error) if not (options.retry_errors and isinstance(error, RemoteError)):
                self._job.fail(task, error)
            case _ if task.flights:
                return  # its copy may do better
            case replies.Missing() if task.lost < max(1, options.retries):
                task.lost += 1
                self._job.take_back([task], ev.Retried())
                self._upload(lane, task, again=True)
            case replies.Missing(error):
                self._lose(lane, task, error)
            case replies.Final(error) | replies.Lost(error):
                self._lose(lane, task, error)
            case replies.Disturbed(error) if options.retries == 0:
                self._lose(lane, task, error)
            case replies.Disturbed():
                task.alone = True
                self._return(lane, [task], ev.Returned(1))
            case replies.NotRun():
                self._return(lane, [task], ev.Returned(1))

    def _fetch(self, lane: Lane, task: Task, outcome: WorkerOutcome) -> None:
        place = self._place
        assert place is not None
        # Until it is here, no copy of the task may be given up or sent again.
        task.flights += 1
        self._transfers.start(lambda: _Fetched(lane, task, replies.fetch(place, outcome, task)))

    def _fetched(self, lane: Lane, task: Task, verdict: replies.Verdict) -> None:
        self._transfers.pending -= 1
        task.flights -= 1
        if task.settled:
            return
        if isinstance(verdict, replies.Value):
            self._job.finish([(task, verdict.value, verdict.log)])
        else:
            self._unsettled(lane, task, verdict)

    def _upload(self, lane: Lane, task: Task, *, again: bool = False) -> None:
        """Bring an item to S3; `again` because a sandbox did not find it, or the function, there."""
        place = self._place
        assert place is not None

        def work() -> _Uploaded:
            try:
                if again:
                    self._function.place(place, again=True)
                encoded = spilled_fragment(task.index, task.item, self._requests.room, place, again=again)
            except LithopsMagicError as error:
                return _Uploaded(lane, task, error)
            return _Uploaded(lane, task, encoded)

        self._transfers.start(work)

    def _uploaded(self, lane: Lane, task: Task, encoded: bytes | LithopsMagicError) -> None:
        self._transfers.pending -= 1
        if isinstance(encoded, LithopsMagicError):
            self._journal.taken(task)
            self._job.fail(task, replies.make(ItemError, task, str(encoded)), sent=False)
        elif not self._job.over:
            if not task.fragment:
                task.fragment = encoded
                self._journal.taken(task)
            lane.waiting.append(task)

    def _lose(self, lane: Lane, task: Task, error: TaskError) -> None:
        """Charge a lost attempt to a task, and try again if it has one left."""
        task.lost += 1
        retries = self._job.options.retries
        if task.lost <= retries and not self._job.over:
            task.alone = True
            if isinstance(error, TaskOutOfMemory):
                lane = self._larger(lane)
            return self._return(lane, [task], ev.Retried())
        if task.lost > 1:
            error.message += f" (attempt {task.lost} of {retries + 1})"
        return self._job.fail(task, error)

    def _larger(self, lane: Lane) -> Lane:
        """Return the lane for tasks that ran out of memory on `lane`: with more of it, if that is asked for."""
        if following := self._lanes[self._lanes.index(lane) + 1 :]:
            return following[0]
        factor = self._job.options.retry_memory
        backend = lane.backend.larger(factor) if factor else None
        if backend is None:
            return lane
        larger = Lane(backend, _silent)
        self._lanes.append(larger)
        threading.Thread(target=self._open, args=(larger,), name="lithops-magic-deploy", daemon=True).start()
        return larger

    def _open(self, lane: Lane) -> None:
        error: Exception | None = None
        try:
            lane.link.connect()
        except Exception as failure:
            error = failure
        self._inbox.put(_Opened(lane, error))

    def _opened(self, lane: Lane, error: Exception | None) -> None:
        lane.ready = error is None
        if error is not None:
            raise InvokeError(f"The function with more memory (retry_memory) cannot be deployed: {error}") from error

    def _return(self, lane: Lane, tasks: Sequence[Task], event: ev.Event) -> None:
        """Put tasks back at the head of the queue; after the end of the job they are withdrawn instead."""
        if self._job.over:
            event = ev.Withdrawn(len(tasks))
        else:
            lane.waiting.extendleft(reversed(tasks))
        self._job.take_back(tasks, event)
