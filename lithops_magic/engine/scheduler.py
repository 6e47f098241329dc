"""Runs one job: pulls items, fills chunks, keeps invocations in flight and decides what becomes of every answer."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lithops_magic.aws.outcomes import Ambiguous, Outcome, Reply, Throttled
from lithops_magic.engine import events as ev
from lithops_magic.engine import replies
from lithops_magic.engine.backend import Backend, Endpoint
from lithops_magic.engine.billing import Bill
from lithops_magic.engine.chunks import Chunks
from lithops_magic.engine.job import Job, Task
from lithops_magic.engine.limiter import ramp
from lithops_magic.engine.link import Link
from lithops_magic.engine.payload import Function, fragment
from lithops_magic.engine.source import Exhausted, Pulled, Source
from lithops_magic.engine.versions import Versions
from lithops_magic.errors import InvokeError, ItemError, SerializationError, TaskError, TaskLost

_CHUNK_PATIENCE = 0.005


@dataclass(frozen=True, slots=True)
class _Answer:
    tasks: list[Task]
    outcome: Outcome
    sent_to: Endpoint


class _Cancel:
    pass


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
    """

    def __init__(self, job: Job, function: Function, source: Source, backend: Backend) -> None:
        self._job = job
        self._function = function
        self._source = source
        self._link = Link(backend, lambda text: job.publish(ev.Phase(text)))
        self._inbox: queue.SimpleQueue[_Answer | Pulled | Exhausted | _Cancel] = queue.SimpleQueue()
        self._waiting: deque[Task] = deque()
        self._in_flight = 0
        self._began = 0.0
        self._replies = 0
        self._versions = Versions(function.need)
        self._pulled_at = 0.0
        # With retries=0 no task may run twice, and one that is lost must take no other with it: each travels alone.
        self._chunks = Chunks(job.options.chunksize or (1 if job.options.retries == 0 else None), function.room)
        job.on_cancel = lambda: self._inbox.put(_Cancel())

    def start(self) -> None:
        """Begin and return at once."""
        threading.Thread(target=self._run, name="lithops-magic-job", daemon=True).start()

    def _run(self) -> None:
        try:
            self._link.connect()
            self._begin()
            self._loop()
        except Exception as error:
            self._job.break_off(error)
            self._drain()
        finally:
            self._source.stop()
            self._link.close()

    def _begin(self) -> None:
        self._began = time.monotonic()
        for note in self._link.endpoint.notes:
            self._job.publish(ev.Noted(note))
        self._job.publish(ev.Started(self._began, self._link.endpoint.limits.memory))
        self._source.start(self._inbox.put)

    def _loop(self) -> None:
        while True:
            self._fill()
            if self._source.last and not self._waiting and not self._in_flight:
                return self._job.end()
            with contextlib.suppress(queue.Empty):
                self._handle(self._inbox.get(timeout=self._patience()))
                while True:
                    self._handle(self._inbox.get_nowait())

    def _patience(self) -> float | None:
        """How long to wait for news; None as long as it takes."""
        if self._job.over or not self._waiting or self._in_flight >= self._link.limiter.limit:
            return None
        return max(_CHUNK_PATIENCE, self._link.limiter.pause(time.monotonic()))

    def _handle(self, message: _Answer | Pulled | Exhausted | _Cancel) -> None:
        match message:
            case Pulled(item):
                self._add(item)
            case Exhausted(error):
                self._exhausted(error)
            case _Answer():
                self._in_flight -= 1
                self._answered(message)
            case _Cancel():
                self._stop()

    def _drain(self) -> None:
        """After the end, record what still arrives."""
        self._stop()
        while self._in_flight:
            with contextlib.suppress(InvokeError):
                self._handle(self._inbox.get())

    def _stop(self) -> None:
        self._source.stop()
        self._waiting.clear()

    def _exhausted(self, error: Exception | None) -> None:
        self._source.last = True
        if not self._job.over:
            self._job.error = error
            self._job.publish(ev.Counted(len(self._job.tasks)))

    def _add(self, item: Any) -> None:
        self._source.asked -= 1
        self._pulled_at = time.monotonic()
        task = self._job.add(item)
        if task is None:
            return
        try:
            task.fragment = fragment(task.index, task.item, self._function.room)
            self._waiting.append(task)
        except SerializationError as error:
            self._job.fail(task, replies.make(ItemError, task, str(error)), sent=False)

    def _fill(self) -> None:
        now = time.monotonic()
        if self._job.over or self._link.limiter.pause(now):
            return
        limit = self._limit(now)
        while self._waiting and self._in_flight < limit and self._ripe(now) and not self._job.over:
            self._send(self._take())
        wanted = self._chunk_size() * (max(0, limit - self._in_flight) + 1)
        self._source.ask(wanted - len(self._waiting) - self._source.asked)

    def _limit(self, now: float) -> int:
        """Invocations that may be in flight."""
        limit = self._link.limiter.limit
        return min(limit, ramp(now - self._began, self._replies)) if self._chunks.tiny else limit

    def _ripe(self, now: float) -> bool:
        """Whether the next chunk is full, or will not soon be fuller."""
        full = self._source.last or not self._source.asked or len(self._waiting) >= self._chunk_size()
        return full or now - self._pulled_at >= _CHUNK_PATIENCE

    def _chunk_size(self) -> int:
        return self._chunks.size(self._job.queued, self._link.limiter.limit)

    def _take(self) -> list[Task]:
        if self._waiting[0].alone:
            return [self._waiting.popleft()]
        size = min(self._chunk_size(), len(self._waiting))
        count = next((i for i in range(size) if self._waiting[i].alone), size)
        count = self._chunks.fit([len(self._waiting[i].fragment) for i in range(count)])
        return [self._waiting.popleft() for _ in range(count)]

    def _send(self, tasks: list[Task]) -> None:
        if not self._job.submit(tasks):
            return
        self._in_flight += 1
        payload = self._function.request(task.fragment for task in tasks)
        endpoint = self._link.endpoint
        endpoint.sender.send(payload, lambda outcome: self._inbox.put(_Answer(tasks, outcome, endpoint)))

    def _answered(self, answer: _Answer) -> None:
        tasks, outcome = answer.tasks, answer.outcome
        if isinstance(outcome, Reply):
            self._link.accepted()
            self._replied(tasks, outcome)
        elif isinstance(outcome, Ambiguous):
            for task in tasks:
                text = f"the connection broke, and it may have run: {outcome.message}"
                self._lose(task, replies.make(TaskLost, task, text))
        else:
            throttled = isinstance(outcome, Throttled)
            self._return(tasks, ev.Throttled(len(tasks)) if throttled else ev.Returned(len(tasks)))
            # What comes from an endpoint that was given up already is no news.
            if answer.sent_to is self._link.endpoint and not self._job.over:
                self._link.turned_away(outcome)

    def _replied(self, tasks: list[Task], outcome: Reply) -> None:
        worker = replies.read(outcome)
        bill = Bill.of(outcome, worker, self._link.endpoint)
        self._job.publish(bill.event)
        if worker is not None and worker.error:
            self._return(tasks, ev.Returned(len(tasks)))
            raise InvokeError(worker.error)
        for note in self._versions.differences(worker, self._link.endpoint.notes):
            self._job.publish(ev.Noted(note))
        limits = self._link.endpoint.limits
        if worker is None or not worker.outcomes:
            verdicts = replies.judge_failure(outcome, tasks, limits)
        else:
            verdicts = replies.judge(worker, tasks, limits, self._job.name_code)
            self._chunks.observe(len(worker.outcomes), bill.event.task_seconds, len(outcome.payload))
            self._replies += 1
        for task, verdict in zip(tasks, verdicts, strict=True):
            if not isinstance(verdict, replies.NotRun):
                bill.charge(task)
            self._settle(task, verdict)

    def _settle(self, task: Task, verdict: replies.Verdict) -> None:
        match verdict:
            case replies.Value(value, log):
                self._job.finish(task, value, log)
            case replies.Final(error):
                self._job.fail(task, error)
            case replies.Lost(error):
                self._lose(task, error)
            case replies.Disturbed(error) if self._job.options.retries == 0:
                self._lose(task, error)
            case replies.Disturbed():
                task.alone = True
                self._return([task], ev.Returned(1))
            case replies.NotRun():
                self._return([task], ev.Returned(1))

    def _lose(self, task: Task, error: TaskError) -> None:
        """Charge a lost attempt to a task, and try again if it has one left."""
        task.lost += 1
        retries = self._job.options.retries
        if task.lost <= retries and not self._job.over:
            task.alone = True
            return self._return([task], ev.Retried())
        if task.lost > 1:
            error.message += f" (attempt {task.lost} of {retries + 1})"
        return self._job.fail(task, error)

    def _return(self, tasks: Sequence[Task], event: ev.Event) -> None:
        """Put tasks back at the head of the queue; after the end of the job they are withdrawn instead."""
        if self._job.over:
            event = ev.Withdrawn(len(tasks))
        else:
            self._waiting.extendleft(reversed(tasks))
        self._job.take_back(tasks, event)
