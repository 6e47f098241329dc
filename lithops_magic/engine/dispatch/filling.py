"""Fills the lanes: how many invocations may be in flight, how many tasks each gets, and which are copied.

Used only by the job's own thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lithops_magic.engine.backend.limiter import TICK, ramp
from lithops_magic.engine.dispatch import stragglers
from lithops_magic.engine.dispatch.budget import Budget
from lithops_magic.engine.dispatch.cached import NoCache
from lithops_magic.engine.dispatch.chunk_size import ChunkSize, ChunkSizes, Transit
from lithops_magic.engine.dispatch.intake import Intake
from lithops_magic.engine.dispatch.items import Source
from lithops_magic.engine.dispatch.lanes import Flight, Lane, Lanes
from lithops_magic.engine.dispatch.settlement import Settlement
from lithops_magic.engine.dispatch.stragglers import Stragglers
from lithops_magic.engine.dispatch.transfers import JobTransfers
from lithops_magic.engine.dispatch.unread import Unread
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.task import Task

# Seconds that an incomplete chunk waits for items that were requested: an iterator that yields faster fills chunks, a
# slower one is not held up noticeably.
_CHUNK_PATIENCE = 0.005
_MAX_REACH = 256
"""Maximum items requested because earlier ones were cached: each stays in memory until it is sent."""

_AT_ONCE = 128
"""Invocations sent before the items of further ones are taken: in the meantime, sandboxes start."""
_PORTION = 200
"""Items taken at a time if all are available: as tasks they need less memory than in transit."""
_AHEAD, _AHEAD_BYTES = 16, 8_000_000
"""Tasks for each invocation in flight that are made while there is nothing else to do, and how large they may be in
all: when ten thousand sandboxes start, or get their last chunks, the client would otherwise keep them waiting."""


class Filling:
    """Decides what is sent next.

    Parameters
    ----------
    job
        Knows what remains, and whether the job is over.
    source
        Asked for the items that can be sent soon.
    intake
        Turns them into tasks.
    lanes
        Hold the waiting tasks.
    chunk_sizes, stragglers
        Know how long tasks take.
    transfers, cached
        Know how many tasks are on their way to a lane.
    settlement
        Knows how many invocations were answered.
    unread
        Knows whether the client is behind with reading replies.
    invoke
        Sends an invocation.
    """

    def __init__(
        self,
        job: Job,
        source: Source,
        intake: Intake,
        lanes: Lanes,
        chunk_sizes: ChunkSizes,
        stragglers: Stragglers,
        transfers: JobTransfers,
        cached: NoCache,
        settlement: Settlement,
        unread: Unread,
        invoke: Callable[[Flight], None],
    ) -> None:
        self._job = job
        self._source = source
        self._intake = intake
        self._lanes = lanes
        self._chunk_sizes = chunk_sizes
        self._stragglers = stragglers
        self._transfers = transfers
        self._cached = cached
        self._settlement = settlement
        self._unread = unread
        self._invoke = invoke
        self._budget = Budget(job.options.max_cost)
        self._began, self._replies = 0.0, 0
        self._pulled_at = 0.0
        self._transit = Transit()
        self._look_at = 0.0
        """When to look for stragglers next."""

    @property
    def moving(self) -> int:
        """Transfers to or from S3 in progress."""
        return self._transfers.pending + self._cached.pending

    def begin(self, now: float) -> None:
        """Start with few invocations: the duration of tasks is still unknown."""
        self._began, self._replies = now, self._settlement.replies

    def pull(self) -> None:
        """Take the available items."""
        now = self._job.time.now()
        self._pulled_at = now
        # An executor's calls after a pause may be unrelated to those before it: what was measured may not hold.
        if self._job.bursts and not self._job.running and not self._lanes.waiting:
            self._chunk_sizes.restart()
            self.begin(now)
        self._intake.take()

    def fill(self) -> None:
        """Send what may be sent now.

        Raises
        ------
        BudgetSpent
            Nothing is in flight, and the budget allows nothing more.
        """
        now = self._job.time.now()
        if self._job.over or self._unread.too_many:
            return
        for lane in self._lanes:
            # Before looking at `waiting`: it puts rested tasks there.
            lane.wake(now)
            if lane.ready and not lane.link.allowance.pause(now):
                self._fill_lane(lane, now)
                self._check_budget(lane)
        # A copy must not take the place of a task that was never sent.
        if self._job.options.backups and self._source.last and not self._lanes.waiting and not self._job.over:
            self._back_up(now)

    def patience(self, now: float) -> float | None:
        """Seconds until something can be sent without news; None if it takes news."""
        pauses = [self._pause(lane, now) for lane in self._lanes if lane.ready and lane.waiting]
        # No items are requested during a pause, either.
        if not self._source.last and (pause := self._lanes.first.link.allowance.pause(now)):
            pauses.append(pause)
        pauses += [rest for lane in self._lanes if (rest := lane.next_rested(now)) is not None]
        if self._job.options.backups and self._lanes.in_flight:
            pauses.append(max(0.0, self._look_at - now) or stragglers.PERIOD)
        return min(pauses, default=None)

    def _pause(self, lane: Lane, now: float) -> float:
        """How long a lane with waiting tasks can be left alone; its limit can also grow with time."""
        at_limit = len(lane.flights) >= self._limit(lane, now)
        return max(TICK if at_limit else _CHUNK_PATIENCE, lane.link.allowance.pause(now))

    def _fill_lane(self, lane: Lane, now: float) -> None:
        limit, part = self._limit(lane, now), -1
        while part < limit:
            part = min(limit, len(lane.flights) + _AT_ONCE)
            self._transit = Transit(self._job.running, max(1, limit - len(lane.flights)))
            self._send(lane, part, now)
            if len(lane.flights) < part:
                break  # nothing is left to send
        # Only if tasks still wait is the limit what holds them back, and worth raising.
        lane.link.allowance.filled(now, bool(lane.waiting))

    def _send(self, lane: Lane, limit: int, now: float) -> None:
        """Send what there is, until `limit` invocations are in flight."""
        if lane is self._lanes.first:
            self._ask(limit)
        fit = partial(self._pace(lane).fit, transit=self._transit)
        chunks: list[list[Task]] = []
        taken = 0
        while lane.waiting and len(lane.flights) + len(chunks) < limit:
            size = self._chunk_size(lane, taken)
            if not self._ripe(lane, size, now):
                break
            chunks.append(lane.take(size, fit))
            taken += len(chunks[-1])
        memory = lane.link.endpoint.limits.memory
        # All of them at once, because each call takes the job's lock and wakes whoever waits. False if the user stopped
        # the job in the meantime: then these tasks are dropped like those still waiting.
        if chunks and self._job.submit([task for chunk in chunks for task in chunk], memory):
            for chunk in chunks:
                self._invoke(lane.launch(chunk))

    def _ask(self, limit: int) -> None:
        """Request the items that can be sent soon, in batches: one request per item would cost more than sending it."""
        lane = self._lanes.first
        # One chunk more than can be sent, so that the next reply finds one at hand.
        wanted = self._chunk_size(lane) * (max(0, limit - len(lane.flights)) + 1)
        if self._source.owned:
            # During a run of cache hits, small batches would be slow.
            wanted = max(wanted, min(_MAX_REACH, 2 * self._cached.recent_hits))
        self._cached.recent_hits = 0
        at_hand = len(lane.waiting) + self._source.asked + self.moving
        # Half a batch still at hand is no reason to request more: that would be one request per reply.
        if at_hand > wanted // 2:
            return
        wanted -= at_hand
        # An iterator is asked for all at once, since it is advanced elsewhere; a collection in portions, each
        # of which is turned into tasks before the next.
        while wanted > 0 and self._source.ask(min(wanted, _PORTION) if self._source.owned else wanted):
            self.pull()
            wanted -= _PORTION

    def take_ahead(self) -> bool:
        """Take some items before they can be sent; return whether there were any."""
        waiting = self._lanes.first.waiting
        # Values may be in the cache, which is asked as late as possible: they may still be computed by another job.
        if not self._source.owned or self._job.options.cache or self._job.over or not waiting:
            return False
        tasks = len(waiting) + _PORTION
        # Of the size of further items, only that of those before is known.
        if (
            tasks > _AHEAD * self._lanes.first.link.allowance.limit
            or tasks * len(waiting[-1].fragment) > _AHEAD_BYTES
            or not self._source.ask(_PORTION)
        ):
            return False
        self.pull()
        return True

    def _limit(self, lane: Lane, now: float) -> int:
        """Maximum invocations in flight on a lane."""
        first = self._lanes.first
        limit: float = lane.link.allowance.allowed(now)
        if lane is first and self._pace(lane).tiny:
            limit = min(limit, ramp(now - self._began, self._settlement.replies - self._replies))
        # All lanes share what the account allows.
        if len(self._lanes) > 1:
            limit = min(limit, first.link.endpoint.workers - self._lanes.in_flight + len(lane.flights))
        if self._job.options.max_cost is not None:
            limit = min(limit, self._affordable(lane))
        return int(limit)

    def _affordable(self, lane: Lane) -> float:
        """Invocations in flight that the budget allows."""
        return self._budget.affordable(self._job.snapshot(), lane.link.endpoint, self._chunk_size(lane))

    def _check_budget(self, lane: Lane) -> None:
        if lane.waiting and not self._lanes.in_flight and self._affordable(lane) < 1:
            raise self._budget.spent(self._job.snapshot())

    def _ripe(self, lane: Lane, size: int, now: float) -> bool:
        """Whether the next chunk is full, or unlikely to fill up soon."""
        full = self._source.last or not self._source.asked or len(lane.waiting) >= size
        return full or now - self._pulled_at >= _CHUNK_PATIENCE

    def _pace(self, lane: Lane) -> ChunkSize:
        """What is known about the duration of the next tasks."""
        return self._chunk_sizes.of(lane.waiting[0].kind) if lane.waiting else self._chunk_sizes.latest

    def _chunk_size(self, lane: Lane, taken: int = 0) -> int:
        """Tasks for the next invocation; `taken`: tasks already removed from the queue but unknown to the job."""
        queued = self._job.queued
        remaining = None if queued is None else queued - taken
        return self._pace(lane).size(remaining, self._lanes.first.link.allowance.limit, self._transit)

    def _back_up(self, now: float) -> None:
        """Send copies of stragglers if there is room."""
        if now < self._look_at:
            return
        self._look_at = now + stragglers.PERIOD
        # Like Spark, wait until most tasks have ended: before that, slow invocations may be the normal ones.
        snapshot = self._job.snapshot()
        if snapshot.done + snapshot.failed < stragglers.MIN_SHARE * (snapshot.total or 0):
            return
        for lane in self._lanes:
            room = self._limit(lane, now) - len(lane.flights)
            for flight in self._stragglers.among(list(lane.flights), now):
                if room > 0:
                    room -= self._copy(lane, flight, room)

    def _copy(self, lane: Lane, flight: Flight, room: int) -> int:
        """Send copies of an invocation's tasks, in parallel if there is room; return how many there are."""
        flight.copied += 1
        tasks = flight.uncopied()
        self._job.publish(ev.BackedUp([task.index for task in tasks]))
        # Which task of a chunk is slow is unknown. On their own, the others are done soon.
        copies = [[task] for task in tasks] if len(tasks) <= room else [tasks]
        for copy in copies:
            self._invoke(lane.launch(copy, copied=flight.copied))
        return len(copies)
