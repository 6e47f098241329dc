"""Runs one job: receives messages, and has items taken, lanes filled and replies judged.

One thread per job makes all decisions. Everything that happens elsewhere (replies on awscrt's thread, items, transfers,
S3 polls, a cancellation by the user) only puts a message into its inbox, whose order is the order of the job's events.
A task is always in exactly one place: waiting or resting in a lane, in flight, in a transfer, or settled;
`Job.running` counts tasks in flight or in transfer, and the loop ends when no task is in any of these places.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from functools import partial

from lithops_magic.aws.invoke.outcomes import Outcome
from lithops_magic.engine.backend.endpoint import Backend
from lithops_magic.engine.cache.keys import Keys
from lithops_magic.engine.dispatch.answers import Answer
from lithops_magic.engine.dispatch.cached import CacheBatch, JobCache, NoCache
from lithops_magic.engine.dispatch.chunk_size import ChunkSizes
from lithops_magic.engine.dispatch.filling import Filling
from lithops_magic.engine.dispatch.full_collections import rare_full_collections
from lithops_magic.engine.dispatch.intake import Intake
from lithops_magic.engine.dispatch.items import Exhausted, Pulled, Source
from lithops_magic.engine.dispatch.lanes import Flight, Lanes, Opened
from lithops_magic.engine.dispatch.settlement import Settlement
from lithops_magic.engine.dispatch.stragglers import Stragglers
from lithops_magic.engine.dispatch.transfers import Fetched, JobTransfers, Uploaded
from lithops_magic.engine.dispatch.unread import Unread
from lithops_magic.engine.dispatch.versions import Versions
from lithops_magic.engine.durable import kept_results
from lithops_magic.engine.durable.kept_results import KeptResults
from lithops_magic.engine.durable.null_journal import NullJournal
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.text.units import plural
from lithops_magic.engine.wire.function import Function
from lithops_magic.errors import InvokeError
from lithops_magic.packages.refusals import untold

_WATCH = 5.0
"""Seconds between checks for overdue invocations."""
_FIRST = 4
"""Items requested before it is known how many can be sent."""
_CROWD = 32
"""Invocations in flight from which on replies are batched: each one alone costs two thread switches."""
_GATHERING, _MAX_GATHERING = 1e-5, 0.01
"""Seconds for which replies are batched, per invocation in flight and at most: too short to delay any invocation."""
_ROUND = 0.05
"""Seconds spent on messages before more is sent: sandboxes must not wait while thousands of messages are handled."""


class _Cancel:
    pass


_Message = Answer | Fetched | Uploaded | CacheBatch | Pulled | Exhausted | Opened | _Cancel


class Scheduler:
    """One daemon thread per job; everything it acts on arrives through one queue.

    Parameters
    ----------
    job
        Where results and events go.
    function
        The function that runs on every item.
    source
        The items.
    backend
        Where it runs.
    processes
        Tasks that one sandbox runs in parallel.
    journal
        Records what another process would need to continue.
    keys
        Computes cache keys of the job's values; None if it uses no cache.
    """

    def __init__(
        self,
        job: Job,
        function: Function,
        source: Source,
        backend: Backend,
        processes: int = 1,
        journal: NullJournal | None = None,
        keys: Keys | None = None,
    ) -> None:
        self._job = job
        self._journal = journal or NullJournal()
        self._kept_results = KeptResults(None, 0.0)
        self._source = source
        self._inbox: queue.SimpleQueue[_Message] = job.time.queue()
        lifetime = job.options.cache
        self._cached = JobCache(job, keys, lifetime, self._inbox.put) if keys and lifetime else NoCache()
        self._lanes = Lanes(backend, self._notify, self._inbox.put, job.time)
        self._transfers = JobTransfers(function, self._inbox.put)
        # With retries=0 no task may run twice, and a lost invocation must affect only one task: chunks of one.
        chunk_sizes = ChunkSizes(job.options.chunksize or (1 if job.options.retries == 0 else None), 0, processes)
        versions, stragglers = Versions(function.need), Stragglers()
        self._intake = Intake(
            job, function, source, self._lanes, self._transfers, self._cached, self._journal, chunk_sizes, versions
        )
        upload = partial(self._intake.upload, recheck=True)
        self._settlement = Settlement(
            job, self._lanes, self._transfers, upload, chunk_sizes, stragglers, versions, self._cached
        )
        self._unread = Unread()
        self._filling = Filling(
            job,
            source,
            self._intake,
            self._lanes,
            chunk_sizes,
            stragglers,
            self._transfers,
            self._cached,
            self._settlement,
            self._unread,
            self._invoke,
        )
        self._delivered = self._deliver
        """One object for all calls: each new one is more work for the garbage collector."""
        self._behind = False
        """Whether more messages had arrived than the last round handled."""
        self._told = 0
        """Invocations in flight, as last published."""
        job.on_cancel = lambda: self._inbox.put(_Cancel())

    def start(self) -> None:
        """Start and return immediately."""
        threading.Thread(target=self.run, name="lithops-magic-job", daemon=True).start()

    def run(self) -> None:
        """Run the job in this thread."""
        try:
            # Before deploying: a bad iterator costs nothing, and the function gets what the first item needs.
            early = self._first_item()
            if self._job.over:
                return
            self._lanes.first.link.connect()
            self._begin()
            for message in early:
                self._handle(message)
            with rare_full_collections():
                self._loop()
        except BaseException as error:  # the user's own methods run here as well: whatever they raise, the job ends
            self._job.break_off(error)
            self._drain()
        finally:
            self._source.stop()
            self._cached.close()
            self._transfers.close()
            self._kept_results.close()
            self._journal.close()
            self._lanes.close()

    def _notify(self, text: str) -> None:
        self._job.publish(ev.Phase(text))

    def _first_item(self) -> list[_Message]:
        """Supply what the first item needs; return the messages received in the meantime."""
        early: list[_Message] = []
        self._source.start(self._inbox.put)
        if not self._source.ask(_FIRST):
            self._notify("Waiting for the first item")
            early.append(self._inbox.get())
        for message in early:
            if isinstance(message, Exhausted) and message.error is not None:
                raise message.error
        self._intake.supply_first()
        return early

    def _begin(self) -> None:
        lane = self._lanes.first
        endpoint = lane.link.endpoint
        lane.ready = True
        self._intake.place_function()
        place = self._intake.place()
        self._kept_results = KeptResults(place, endpoint.limits.timeout)
        self._journal.start(place, self._lanes.oldest)
        began = self._job.time.now()
        self._filling.begin(began)
        for note in untold(endpoint.notes):
            self._job.publish(ev.Noted(note))
        self._job.publish(ev.Started(began, endpoint.limits.memory, endpoint.local))
        self._cached.open(endpoint.store, endpoint.differences)
        self._filling.pull()

    def _loop(self) -> None:
        while True:
            self._filling.fill()
            self._tell_in_flight()
            if self._source.last and not self._lanes.waiting and not self._job.running and not self._filling.moving:
                return self._end()
            idle = self._inbox.empty()
            self._receive(0.0 if idle and self._filling.take_ahead() else self._patience())
            self._watch()

    def _tell_in_flight(self) -> None:
        if (in_flight := self._lanes.in_flight) != self._told:
            self._job.publish(ev.InFlight(in_flight))
            self._told = in_flight

    def _receive(self, patience: float | None) -> None:
        """Handle the messages that have arrived, for a limited time, or wait for the next one."""
        behind, self._behind = self._behind, False
        try:
            with contextlib.suppress(queue.Empty):
                self._handle(self._inbox.get(timeout=patience))
                # If the last round left messages behind, they are here already, and a pause would only delay them.
                if (crowd := self._lanes.in_flight) > _CROWD and not behind:
                    self._job.time.sleep(min(_MAX_GATHERING, crowd * _GATHERING))
                end = self._job.time.now() + _ROUND
                while self._job.time.now() < end:
                    self._handle(self._inbox.get_nowait())
                self._behind = True
        finally:
            # Also if a message raised: what was judged before it has happened, and must be counted.
            self._settlement.flush()

    def _end(self) -> None:
        if overtaken := self._lanes.in_flight:
            self._job.publish(
                ev.Noted(f"{plural(overtaken, 'invocation')} overtaken by a copy may still be running, and billed")
            )
        # Before the job ends, because the process may exit then.
        self._cached.close()
        self._job.end()

    def _drain(self) -> None:
        """After the end, record what still arrives."""
        self._stop()
        while self._lanes.in_flight or self._filling.moving:
            # The job has already ended with the first error; further ones say the same.
            with contextlib.suppress(InvokeError):
                self._receive(self._patience())
                self._watch()
        self._tell_in_flight()

    def _watch(self) -> None:
        """Give up invocations that have gone unanswered for longer than they can take."""
        for flight in self._lanes.overdue(self._job.time.now()):
            # Of this class so that `KeptResults` does not wait for it again.
            lost = kept_results.NothingKept(f"there was no reply within {flight.endpoint.patience:.0f} s")
            self._answered(Answer(flight, lost))

    def _stop(self) -> None:
        self._source.stop()
        self._lanes.clear()

    def _patience(self) -> float | None:
        """How long to wait for a message; None for no limit."""
        watch = [_WATCH] if self._lanes.in_flight else []
        if not self._job.over and (soon := self._filling.patience(self._job.time.now())) is not None:
            watch.append(soon)
        return min(watch, default=None)

    def _handle(self, message: _Message) -> None:
        match message:
            case Answer():
                self._unread.remove(message.outcome)
                self._answered(message)
            case Pulled():
                self._filling.pull()
            case Exhausted(error):
                self._intake.exhausted(error)
            case Fetched():
                self._settlement.fetched(message)
            case Uploaded():
                self._intake.uploaded(message)
            case CacheBatch():
                self._intake.recollected(message)
            case Opened():
                self._lanes.opened(message)
            case _Cancel():
                self._stop()

    def _answered(self, answer: Answer) -> None:
        flight = answer.flight
        if flight not in flight.lane.flights:
            return  # it was already given up
        answer = answer.decoded()
        outcome = answer.outcome
        # Tasks behind a broken connection may still deliver the results they keep in S3.
        tasks = [task.index for task in flight.tasks if not task.settled]
        if self._kept_results.takes(tasks, flight.sent_at, outcome, partial(self._deliver, flight)):
            return
        flight.lane.land(flight)
        # Before the state changes: a journal may know more than the job's state says, never less.
        self._journal.answered(flight.tasks, outcome)
        self._settlement.answered(answer)

    def _deliver(self, flight: Flight, outcome: Outcome) -> bool:
        """Receive a reply; return whether it may be the function's own. Called from other threads."""
        answer = Answer.of(flight, outcome, self._job.key)
        self._unread.add(answer.outcome)
        self._inbox.put(answer)
        return not answer.unauthenticated

    def _invoke(self, flight: Flight) -> None:
        payload = self._intake.requests.request((task.fragment for task in flight.tasks), flight.name)
        # Before sending: a process that is killed in between must find a task that may have run, not one that was never
        # sent.
        self._journal.sent(flight.tasks)
        flight.endpoint.senders[flight.to.number].send(payload, partial(self._delivered, flight))
