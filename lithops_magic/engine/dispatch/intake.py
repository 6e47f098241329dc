"""Turns items into tasks: each is encoded, uploaded to S3, or found in the cache, and waits in a lane to be sent.

Used only by the job's own thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from lithops_magic.engine.dispatch import verdicts
from lithops_magic.engine.dispatch.cached import CacheBatch, NoCache, as_reply
from lithops_magic.engine.dispatch.chunk_size import ChunkSizes
from lithops_magic.engine.dispatch.item_needs import ItemNeeds
from lithops_magic.engine.dispatch.items import Source, Taken
from lithops_magic.engine.dispatch.lanes import Lane, Lanes
from lithops_magic.engine.dispatch.transfers import JobTransfers, Uploaded
from lithops_magic.engine.dispatch.versions import Versions
from lithops_magic.engine.durable.null_journal import NullJournal
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.text.units import size
from lithops_magic.engine.wire.captures import same_numbers
from lithops_magic.engine.wire.function import MOSTLY_INLINE, Function, Requests
from lithops_magic.engine.wire.item import ItemTooLarge, Prepared, fragment
from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import ItemError, LithopsMagicError, PackageError, SerializationError


class Intake:
    """Ensures the function has what each item needs before the item is sent.

    Parameters
    ----------
    job
        Counts tasks.
    function
        The function that runs on every item.
    source
        The items.
    lanes
        Hold the waiting tasks, and are told what a function needs.
    transfers
        Uploads large items to S3.
    cached
        Holds values that were computed before.
    journal
        Records what another process would need to continue.
    chunk_sizes
        Told how much of a request is available for tasks.
    versions
        Told which packages the function needs.
    """

    def __init__(
        self,
        job: Job,
        function: Function,
        source: Source,
        lanes: Lanes,
        transfers: JobTransfers,
        cached: NoCache,
        journal: NullJournal,
        chunk_sizes: ChunkSizes,
        versions: Versions,
    ) -> None:
        self.requests = Requests(b"")
        """Builds requests for the function as last placed."""
        self._job = job
        self._function = function
        self._source = source
        self._lanes = lanes
        self._transfers = transfers
        self._transfers.place = self.place
        self._cached = cached
        self._journal = journal
        self._chunk_sizes = chunk_sizes
        self._versions = versions
        self._cargo = ItemNeeds(function.need)

    def supply_first(self) -> None:
        """Supply what the next item needs, if there is one, before the function is deployed."""
        # Otherwise the job's first item would deploy a second function right after the first.
        if (taken := self._source.first()) is not None and isinstance(taken.prepared, Prepared):
            with contextlib.suppress(PackageError):  # reported when it is that item's turn
                self._supply(taken.prepared)

    def _supply(self, prepared: Prepared) -> bool:
        """Supply what an item needs; return whether that was new.

        Raises
        ------
        PackageError
            A need cannot be shipped.
        """
        reach = prepared.reach
        if reach is None or not self._cargo.grows(reach):
            return False
        self._function = self._transfers.function = self._function.needing(self._cargo.need)
        self._versions.need = self._cargo.need
        self._lanes.need(self._cargo.need)
        self._journal.changed(self._function)
        return True

    def place(self) -> Place | None:
        """The job's place in S3, where the function that was deployed last can read it."""
        store = self._lanes.first.link.endpoint.store
        if store is None:
            return None
        job, options = self._job, self._job.options
        return Place.of_job(store, job.id, after=options.keep_after, key=job.key, rules=options.keeping)

    def place_function(self) -> None:
        """Put the function where sandboxes will find it."""
        place = self.place()
        if place is not None:
            self._job.download = place.download
            place = replace(place, sending=self._uploading())
        self.requests = self._function.place(place, self._job.snapshot().total, key=self._job.key)
        self._chunk_sizes.room = self.requests.room
        self._job.publish(ev.Phase(""))

    def _uploading(self) -> Callable[[int], None]:
        """Return a callback that reports upload progress if there is much to send: S3 may have the function already."""
        sent = 0

        def sending(octets: int) -> None:
            nonlocal sent
            sent += octets
            if sent > MOSTLY_INLINE:
                self._job.publish(ev.Phase(f"Uploading the function, {size(sent)}"))

        return sending

    def take(self) -> None:
        """Turn the available items into tasks."""
        for taken in self._source.take():
            self._add(taken)
        self._cached.fetch()

    def exhausted(self, error: BaseException | None) -> None:
        """Note that there are no more items; `error`, if any, ended them."""
        self._source.last = True
        # An iterator that failed does not tell how many items there would have been: a resumed job must not take those
        # it has for all.
        if error is None:
            self._journal.counted()
        if not self._job.over:
            self._job.error = error
            self._job.publish(ev.Counted(len(self._job.ledger)))

    def _add(self, taken: Taken) -> None:
        task = self._job.add(taken.item, taken.octets)
        if task is None:
            return
        if self._cached.has(task, taken):
            # Another process that resumes the job needs the item, too, unless it went through S3.
            with contextlib.suppress(ItemTooLarge):
                task.fragment = b'{"id":%d}' % task.index
                task.fragment = fragment(task.index, taken.prepared, self.requests.room)
            self._journal.taken(task)
            return
        self._queue(task, taken)

    def _queue(self, task: Task, taken: Taken) -> None:
        """Queue a task for sending."""
        try:
            prepared = taken.prepared
            if isinstance(prepared, SerializationError):
                raise prepared
            # First, because a function that was deployed again leaves another amount of room for tasks.
            if prepared.reach is not None:
                self._redeploy(prepared)
            task.fragment = fragment(task.index, prepared, self._chunk_sizes.room)
            self._lanes.first.waiting.append(task)
            self._journal.taken(task)
        except SerializationError as error:
            if isinstance(error, ItemTooLarge) and self.place() is not None:
                # Empty tells `uploaded` that the journal has no record of the item yet.
                task.fragment = b""
                return self.upload(self._lanes.first, task)
            self._refuse(task, error)
        except PackageError as error:
            self._refuse(task, error)

    def _refuse(self, task: Task, error: LithopsMagicError) -> None:
        self._journal.taken(task)
        # Never sent, so the count of running tasks must not go down.
        self._job.fail(task, verdicts.make(ItemError, task, str(error)), sent=False)

    def _redeploy(self, prepared: Prepared) -> None:
        """Deploy a function with what this item is the first to need; invocations in flight are left alone."""
        if self._cargo.shares(prepared):
            self._job.publish(ev.Noted(same_numbers("items share a generator, and each gets it in its original state")))
        if not self._supply(prepared):
            return
        for lane in self._lanes:
            # Lanes that are still being deployed follow in `Lanes.opened`.
            if lane.ready:
                lane.redirect()
        self.place_function()

    def upload(self, lane: Lane, task: Task, *, recheck: bool = False) -> None:
        """Upload a task's item to S3; `recheck`: a sandbox did not find it, or the function, there."""
        self._transfers.upload(lane, task, self.requests, recheck=recheck)

    def uploaded(self, message: Uploaded) -> None:
        """Queue a task whose item was uploaded to S3."""
        self._transfers.received(message)
        task, encoded = message.task, message.fragment
        if isinstance(encoded, LithopsMagicError):
            self._refuse(task, encoded)
        elif not self._job.over:
            if not task.fragment:
                task.fragment = encoded
                self._journal.taken(task)
            message.lane.waiting.append(task)

    def recollected(self, message: CacheBatch) -> None:
        """Record values from the cache; those that did not arrive are computed."""
        self._cached.received(message)
        found = message.found
        # False if the job was stopped, which counted these tasks as cancelled.
        if found and self._job.recall(
            [(one.task, one.value, one.log) for one in found], sum(one.cost for one in found)
        ):
            for one in found:
                self._journal.answered([one.task], as_reply(one))
        if not self._job.over:
            for task, taken in message.missed:
                self._queue(task, taken)
