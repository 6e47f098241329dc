"""Runs one job: pulls items, fills chunks, keeps invocations in flight and has every answer judged.

All decisions are taken by one thread per job. Whatever happens elsewhere (answers on awscrt's thread, items, transfers,
looks at S3, a user's cancel) only puts a message into its inbox, whose order is the order of the job's events. A task
is always in exactly one place: waiting or resting in a lane, in flight, in a transfer, or settled; `Job.running` counts
what is in flight or in transfer, and the loop ends when nothing is anywhere.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from functools import partial

from lithops_magic.aws.invoke.outcomes import Outcome
from lithops_magic.engine.backend.endpoint import Backend
from lithops_magic.engine.backend.limiter import TICK, ramp
from lithops_magic.engine.cache.keys import Keys
from lithops_magic.engine.dispatch import stragglers, verdicts
from lithops_magic.engine.dispatch.answers import Answer
from lithops_magic.engine.dispatch.budget import Budget
from lithops_magic.engine.dispatch.cached import Cached, Recollected, Uncached, as_reply
from lithops_magic.engine.dispatch.cargo import Cargo
from lithops_magic.engine.dispatch.chunk_size import Chunks, Paces
from lithops_magic.engine.dispatch.items import Exhausted, Pulled, Source, Taken
from lithops_magic.engine.dispatch.lanes import Flight, Lane, Lanes, Opened
from lithops_magic.engine.dispatch.settlement import Referee
from lithops_magic.engine.dispatch.stragglers import Stragglers
from lithops_magic.engine.dispatch.transfers import Fetched, Parcels, Uploaded
from lithops_magic.engine.dispatch.versions import Versions
from lithops_magic.engine.durable import kept_results
from lithops_magic.engine.durable.kept_results import Rescue
from lithops_magic.engine.durable.silent import Silent
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.job import Job, Task
from lithops_magic.engine.text.units import plural, size
from lithops_magic.engine.wire.captures import same_numbers
from lithops_magic.engine.wire.function import Function, Requests
from lithops_magic.engine.wire.item import ItemTooLarge, Prepared, fragment
from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import InvokeError, ItemError, LithopsMagicError, PackageError, SerializationError

_CHUNK_PATIENCE = 0.005
_WATCH = 5.0
"""Seconds between two looks for invocations that are overdue."""
_FIRST = 4
"""Items asked for before it is known how many can be sent."""
_LONGEST_REACH = 256
"""Items asked for at most because values of those before were in the cache: they are in memory until they are sent."""
_CROWD = 32
"""Invocations in flight from which answers are left to gather: each by itself costs two switches between threads."""
_GATHERING, _LONGEST_GATHERING = 1e-5, 0.01
"""Seconds that they are left, per invocation in flight and at most: no invocation notices, none is as short."""


class _Cancel:
    pass


_Message = Answer | Fetched | Uploaded | Recollected | Pulled | Exhausted | Opened | _Cancel


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
    keys
        Name the job's values in the cache; None if it uses none.
    """

    def __init__(
        self,
        job: Job,
        function: Function,
        source: Source,
        backend: Backend,
        processes: int = 1,
        journal: Silent | None = None,
        keys: Keys | None = None,
    ) -> None:
        self._job = job
        self._function = function
        self._requests = Requests(b"")
        self._journal = journal or Silent()
        self._rescue = Rescue(None, 0.0)
        self._source = source
        self._inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._lanes = Lanes(backend, self._notify, self._inbox.put)
        self._parcels = Parcels(function, self._inbox.put)
        self._parcels.place = self._place
        self._began, self._replies = 0.0, 0
        self._pulled_at = 0.0
        # With retries=0 no task may run twice, and one that is lost must take no other with it: each travels alone.
        fixed = job.options.chunksize or (1 if job.options.retries == 0 else None)
        self._paces = Paces(fixed, self._requests.room, processes)
        self._budget = Budget(job.options.max_cost)
        self._stragglers = Stragglers()
        self._cargo = Cargo(function.need)
        lifetime = job.options.cache
        self._cached = Cached(job, keys, lifetime, self._inbox.put) if keys and lifetime else Uncached()
        self._versions = Versions(function.need)
        self._referee = Referee(
            job,
            self._lanes,
            self._parcels,
            partial(self._upload, again=True),
            self._paces,
            self._stragglers,
            self._versions,
            self._cached,
        )
        job.on_cancel = lambda: self._inbox.put(_Cancel())

    def start(self) -> None:
        """Begin and return at once."""
        threading.Thread(target=self._run, name="lithops-magic-job", daemon=True).start()

    def _run(self) -> None:
        try:
            early = self._first_item()
            if self._job.over:
                return
            self._lanes.first.link.connect()
            self._begin()
            for message in early:
                self._handle(message)
            self._loop()
        except BaseException as error:  # the user's own methods run here as well: whatever they raise, the job ends
            self._job.break_off(error)
            self._drain()
        finally:
            self._source.stop()
            self._cached.close()
            self._parcels.close()
            self._rescue.close()
            self._journal.close()
            self._lanes.close()

    def _notify(self, text: str) -> None:
        self._job.publish(ev.Phase(text))

    def _first_item(self) -> list[_Message]:
        """Have the function get what the first item needs, and return the messages that came meanwhile."""
        early: list[_Message] = []
        self._source.start(self._inbox.put)
        if not self._source.ask(_FIRST):
            self._notify("Waiting for the first item")
            early.append(self._inbox.get())
        for message in early:
            if isinstance(message, Exhausted) and message.error is not None:
                raise message.error
        if (taken := self._source.first()) is not None:
            with contextlib.suppress(PackageError):  # told when it is that item's turn
                self._supply(taken)
        return early

    def _supply(self, taken: Taken) -> bool:
        """Have the function get what an item needs; whether that is more than it had.

        Raises
        ------
        PackageError
            It cannot be shipped.
        """
        reach = taken.prepared.reach if isinstance(taken.prepared, Prepared) else None
        if reach is None or not self._cargo.grows(reach):
            return False
        self._function = self._parcels.function = self._function.needing(self._cargo.need)
        self._versions.need = self._cargo.need
        self._lanes.need(self._cargo.need)
        self._journal.changed(self._function)
        return True

    def _begin(self) -> None:
        lane = self._lanes.first
        lane.ready = True
        self._place_function()
        self._rescue = Rescue(self._place(), lane.link.endpoint.limits.timeout)
        self._journal.start(self._place(), self._lanes.oldest)
        self._began = time.monotonic()
        for note in lane.link.endpoint.notes:
            self._job.publish(ev.Noted(note))
        self._job.publish(ev.Started(self._began, lane.link.endpoint.limits.memory, lane.link.endpoint.local))
        self._cached.open(lane.link.endpoint.store, lane.link.endpoint.differences)
        self._pull()

    def _place_function(self) -> None:
        """Bring the function to where the sandboxes will find it."""
        place = self._place()
        if place is not None:
            self._job.download = place.download
            if large := self._function.large:
                self._notify(f"Uploading the function, {size(large)}")
        self._requests = self._function.place(place, self._job.snapshot().total, key=self._job.key)
        self._paces.room = self._requests.room
        self._notify("")

    def _place(self) -> Place | None:
        """The job's place in S3, where the function that was deployed last finds it."""
        store = self._lanes.first.link.endpoint.store
        if store is None:
            return None
        job, options = self._job, self._job.options
        return Place.of_job(store, job.id, after=options.keep_after, key=job.key, rules=options.keeping)

    def _loop(self) -> None:
        told = 0
        while True:
            self._fill()
            if (in_flight := self._lanes.in_flight) != told:
                self._job.publish(ev.InFlight(told := in_flight))
            if self._source.last and not self._lanes.waiting and not self._job.running and not self._moving:
                return self._end()
            self._receive(self._patience())
            self._watch()

    @property
    def _moving(self) -> int:
        """What is on its way to or from S3."""
        return self._parcels.pending + self._cached.pending

    def _receive(self, patience: float | None) -> None:
        """Handle what has arrived, or the first that does."""
        try:
            with contextlib.suppress(queue.Empty):
                self._handle(self._inbox.get(timeout=patience))
                if (crowd := self._lanes.in_flight) > _CROWD:
                    time.sleep(min(_LONGEST_GATHERING, crowd * _GATHERING))
                while True:
                    self._handle(self._inbox.get_nowait())
        finally:
            self._referee.flush()

    def _end(self) -> None:
        if overtaken := self._lanes.in_flight:
            self._job.publish(
                ev.Noted(f"{plural(overtaken, 'invocation')} that a copy overtook may still run, and be billed")
            )
        # Before the end, after which the process may end too.
        self._cached.close()
        self._job.end()

    def _drain(self) -> None:
        """After the end, record what still arrives."""
        self._stop()
        while self._lanes.in_flight or self._moving:
            with contextlib.suppress(InvokeError):
                self._receive(self._patience())
                self._watch()

    def _watch(self) -> None:
        """Give up invocations of which nothing was heard for longer than they can take."""
        for flight in self._lanes.overdue(time.monotonic()):
            lost = kept_results.Unkept(f"nothing was heard of it within {flight.endpoint.patience:.0f} s")
            self._answered(Answer(flight, lost))

    def _stop(self) -> None:
        self._source.stop()
        self._lanes.clear()

    def _patience(self) -> float | None:
        """How long to wait for news; None as long as it takes."""
        watch = [_WATCH] if self._lanes.in_flight else []
        if self._job.over:
            return min(watch, default=None)
        now = time.monotonic()
        pauses = [self._pause(lane, now) for lane in self._lanes if lane.ready and lane.waiting]
        # Items are not asked for during a pause either.
        if not self._source.last and (pause := self._lanes.first.link.allowance.pause(now)):
            pauses.append(pause)
        pauses += [rest for lane in self._lanes if (rest := lane.next_rested(now)) is not None]
        if self._job.options.backups and self._lanes.in_flight:
            pauses.append(stragglers.PERIOD)
        return min(pauses + watch, default=None)

    def _pause(self, lane: Lane, now: float) -> float:
        """How long a lane with waiting tasks can be left alone; its limit may also grow without news."""
        at_limit = len(lane.flights) >= self._limit(lane, now)
        return max(TICK if at_limit else _CHUNK_PATIENCE, lane.link.allowance.pause(now))

    def _handle(self, message: _Message) -> None:
        match message:
            case Answer():
                self._answered(message)
            case Pulled():
                self._pull()
            case Exhausted(error):
                self._exhausted(error)
            case Fetched():
                self._referee.fetched(message)
            case Uploaded():
                self._uploaded(message)
            case Recollected():
                self._recollected(message)
            case Opened():
                self._lanes.opened(message)
            case _Cancel():
                self._stop()

    def _answered(self, answer: Answer) -> None:
        flight, outcome = answer.flight, answer.outcome
        if flight not in flight.lane.flights:
            return  # it was given up
        # Tasks behind a broken connection may still bring the results that they keep.
        tasks = [task.index for task in flight.tasks if not task.settled]
        if self._rescue.takes(tasks, flight.sent_at, outcome, partial(self._deliver, flight)):
            return
        flight.lane.land(flight)
        self._journal.answered(flight.tasks, outcome)
        self._referee.answered(answer)

    def _deliver(self, flight: Flight, outcome: Outcome) -> bool:
        """Take an answer; whether it may be the function's own. Called from other threads."""
        answer = Answer.of(flight, outcome, self._job.key)
        self._inbox.put(answer)
        return not answer.foreign

    def _exhausted(self, error: BaseException | None) -> None:
        self._source.last = True
        if error is None:
            self._journal.counted()
        if not self._job.over:
            self._job.error = error
            self._job.publish(ev.Counted(len(self._job.ledger)))

    def _pull(self) -> None:
        self._pulled_at = time.monotonic()
        if self._job.bursts and not self._job.running and not self._lanes.waiting:
            self._paces.begin_anew()
            self._began, self._replies = self._pulled_at, self._referee.replies
        for taken in self._source.take():
            self._add(taken)
        self._cached.fetch()

    def _add(self, taken: Taken) -> None:
        task = self._job.add(taken.item, taken.octets)
        if task is None:
            return
        if self._cached.has(task, taken):
            # Another process that goes on with the job must know the item as well, but for one that went through S3.
            with contextlib.suppress(ItemTooLarge):
                task.fragment = b'{"id":%d}' % task.index
                task.fragment = fragment(task.index, taken.prepared, self._requests.room)
            self._journal.taken(task)
            return
        self._queue(task, taken)

    def _queue(self, task: Task, taken: Taken) -> None:
        """Have a task sent."""
        try:
            if isinstance(taken.prepared, SerializationError):
                raise taken.prepared
            self._redeploy(taken)
            task.fragment = fragment(task.index, taken.prepared, self._requests.room)
            self._lanes.first.waiting.append(task)
            self._journal.taken(task)
        except SerializationError as error:
            if isinstance(error, ItemTooLarge) and self._place() is not None:
                task.fragment = b""
                return self._upload(self._lanes.first, task)
            self._refuse(task, error)
        except PackageError as error:
            self._refuse(task, error)

    def _refuse(self, task: Task, error: LithopsMagicError) -> None:
        self._journal.taken(task)
        self._job.fail(task, verdicts.make(ItemError, task, str(error)), sent=False)

    def _redeploy(self, taken: Taken) -> None:
        """Deploy a function that has what this item needs, if no item before needed it; what is in flight stays."""
        if isinstance(taken.prepared, Prepared) and self._cargo.shares(taken.prepared):
            self._job.publish(ev.Noted(same_numbers("items share a generator, and each has it as it was")))
        if not self._supply(taken):
            return
        for lane in self._lanes:
            if lane.ready:
                lane.redirect()
        self._place_function()

    def _upload(self, lane: Lane, task: Task, *, again: bool = False) -> None:
        self._parcels.upload(lane, task, self._requests, again=again)

    def _uploaded(self, message: Uploaded) -> None:
        self._parcels.received(message)
        task, encoded = message.task, message.fragment
        if isinstance(encoded, LithopsMagicError):
            self._refuse(task, encoded)
        elif not self._job.over:
            if not task.fragment:
                task.fragment = encoded
                self._journal.taken(task)
            message.lane.waiting.append(task)

    def _recollected(self, message: Recollected) -> None:
        """Record values from the cache; what did not come is computed."""
        self._cached.received(message)
        found = message.found
        if found and self._job.recall(
            [(one.task, one.value, one.log) for one in found], sum(one.cost for one in found)
        ):
            for one in found:
                self._journal.answered([one.task], as_reply(one))
        if not self._job.over:
            for task, taken in message.missed:
                self._queue(task, taken)

    def _fill(self) -> None:
        now = time.monotonic()
        if self._job.over:
            return
        for lane in self._lanes:
            lane.wake(now)
            if lane.ready and not lane.link.allowance.pause(now):
                self._fill_lane(lane, now)
                self._check_budget(lane)
        if self._job.options.backups and self._source.last and not self._lanes.waiting and not self._job.over:
            self._back_up(now)

    def _fill_lane(self, lane: Lane, now: float) -> None:
        limit = self._limit(lane, now)
        if lane is self._lanes.first:
            self._ask(limit)
        chunks: list[list[Task]] = []
        taken = 0
        while lane.waiting and len(lane.flights) + len(chunks) < limit:
            size = self._chunk_size(lane, taken)
            if not self._ripe(lane, size, now):
                break
            chunks.append(lane.take(size, self._pace(lane).fit))
            taken += len(chunks[-1])
        memory = lane.link.endpoint.limits.memory
        if chunks and self._job.submit([task for chunk in chunks for task in chunk], memory):
            for chunk in chunks:
                self._invoke(lane.launch(chunk))
        lane.link.allowance.filled(now, bool(lane.waiting))

    def _ask(self, limit: int) -> None:
        """Ask for the items that can be sent soon; not for each by itself, which would cost more than sending it."""
        lane = self._lanes.first
        wanted = self._chunk_size(lane) * (max(0, limit - len(lane.flights)) + 1)
        if self._source.owned:
            # As long as values are there, a few at a time would take long.
            wanted = max(wanted, min(_LONGEST_REACH, 2 * self._cached.lately))
        self._cached.lately = 0
        at_hand = len(lane.waiting) + self._source.asked + self._moving
        if at_hand <= wanted // 2 and self._source.ask(wanted - at_hand):
            self._pull()

    def _limit(self, lane: Lane, now: float) -> int:
        """Invocations that may be in flight on a lane."""
        first = self._lanes.first
        limit: float = lane.link.allowance.allowed(now)
        if lane is first and self._pace(lane).tiny:
            limit = min(limit, ramp(now - self._began, self._referee.replies - self._replies))
        if len(self._lanes) > 1:
            limit = min(limit, first.link.endpoint.workers - self._lanes.in_flight + len(lane.flights))
        if self._job.options.max_cost is not None:
            limit = min(limit, self._affordable(lane))
        return int(limit)

    def _affordable(self, lane: Lane) -> float:
        """Invocations that the job's money allows in flight."""
        return self._budget.affordable(self._job.snapshot(), lane.link.endpoint, self._chunk_size(lane))

    def _check_budget(self, lane: Lane) -> None:
        """End the job where nothing is in flight, and nothing more can be paid for.

        Raises
        ------
        BudgetSpent
            It is so.
        """
        if lane.waiting and not self._lanes.in_flight and self._affordable(lane) < 1:
            raise self._budget.spent(self._job.snapshot())

    def _ripe(self, lane: Lane, size: int, now: float) -> bool:
        """Whether the next chunk is full, or will not soon be fuller."""
        full = self._source.last or not self._source.asked or len(lane.waiting) >= size
        return full or now - self._pulled_at >= _CHUNK_PATIENCE

    def _pace(self, lane: Lane) -> Chunks:
        """What is known of the tasks that are next."""
        return self._paces.of(lane.waiting[0].kind) if lane.waiting else self._paces.latest

    def _chunk_size(self, lane: Lane, taken: int = 0) -> int:
        """Tasks for the next invocation; `taken`: those that are queued no more, which the job does not know yet."""
        queued = self._job.queued
        remaining = None if queued is None else queued - taken
        return self._pace(lane).size(remaining, self._lanes.first.link.allowance.limit)

    def _back_up(self, now: float) -> None:
        """Send copies of invocations that take far too long, where there is room for them."""
        snapshot = self._job.snapshot()
        if snapshot.done + snapshot.failed < stragglers.LEAST_SHARE * (snapshot.total or 0):
            return
        for lane in self._lanes:
            room = self._limit(lane, now) - len(lane.flights)
            for flight in self._stragglers.among(list(lane.flights), now)[: max(0, room)]:
                flight.copied = True
                self._job.publish(ev.BackedUp([task.index for task in flight.tasks]))
                self._invoke(lane.launch([task for task in flight.tasks if not task.settled], copied=True))

    def _invoke(self, flight: Flight) -> None:
        payload = self._requests.request((task.fragment for task in flight.tasks), flight.name)
        self._journal.sent(flight.tasks)
        flight.endpoint.senders[flight.to.number].send(payload, partial(self._deliver, flight))
