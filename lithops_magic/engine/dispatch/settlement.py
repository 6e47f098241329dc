"""Decides the outcome of every task in an answered invocation: done, failed, or sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from lithops_magic.aws.invoke.outcomes import Ambiguous, Reply, Throttle
from lithops_magic.engine.dispatch import supplements, verdicts
from lithops_magic.engine.dispatch.answers import Answer, UnusableReply
from lithops_magic.engine.dispatch.billing import Bill
from lithops_magic.engine.dispatch.cached import NoCache
from lithops_magic.engine.dispatch.chunk_size import ChunkSizes
from lithops_magic.engine.dispatch.lanes import Flight, Lane, Lanes
from lithops_magic.engine.dispatch.stragglers import Stragglers
from lithops_magic.engine.dispatch.supplements import listed
from lithops_magic.engine.dispatch.transfers import Fetched, JobTransfers
from lithops_magic.engine.dispatch.versions import Versions
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.reply import Asked, WorkerReply
from lithops_magic.errors import (
    InvokeError,
    LithopsMagicError,
    RemoteError,
    TaskError,
    TaskLost,
    TaskOutOfMemory,
    VersionMismatch,
    facts,
)
from lithops_magic.packages.learned import forget, remember, remembered
from lithops_magic.packages.refusals import REFUSED, untold

LEFT = (
    "tasks left this running: {}. It ends when another job starts, and its output is in no task's log: wait for it "
    "in the task that starts it"
)
"""What the user is told, once per job."""


class Settlement:
    """Judges replies one by one and records them in batches, so that the job's lock is taken once per batch.

    Parameters
    ----------
    job
        Where results and events go.
    lanes
        Hold tasks that are to be sent again.
    transfers
        Downloads values from S3.
    upload
        Uploads a task's item to S3 again.
    chunk_sizes, stragglers
        Learn from measured durations.
    versions
        Compares the package versions that sandboxes report.
    cached
        Stores values for later jobs.
    """

    def __init__(
        self,
        job: Job,
        lanes: Lanes,
        transfers: JobTransfers,
        upload: Callable[[Lane, Task], None],
        chunk_sizes: ChunkSizes,
        stragglers: Stragglers,
        versions: Versions,
        cached: NoCache,
    ) -> None:
        self._job = job
        self._lanes = lanes
        self._transfers = transfers
        self._upload = upload
        self._chunk_sizes = chunk_sizes
        self._stragglers = stragglers
        self._versions = versions
        self._cached = cached
        self._supplements = supplements.Supplements(versions.need)
        self._left_is_told = False
        self._invoked: list[ev.Invoked] = []
        self._charged: list[tuple[Sequence[int], Callable[[int], ev.Charge]]] = []
        self._done: list[verdicts.Value] = []
        self._sandboxes: set[str] = set()
        """Sandboxes that have replied."""
        self.replies = 0
        """Invocations that a worker answered."""

    def flush(self) -> None:
        """Record what was judged since the last flush."""
        if self._invoked or self._done:
            self._job.record(self._invoked, ev.Charges(self._charged), self._done)
            self._invoked, self._charged, self._done = [], [], []

    def answered(self, answer: Answer) -> None:
        """Judge a reply.

        Raises
        ------
        InvokeError
            It shows that no other invocation can succeed.
        """
        flight, outcome = answer.flight, answer.outcome
        if isinstance(outcome, Reply):
            flight.lane.link.accepted(flight.to, flight.sent_at)
            return self._replied(flight, outcome, answer.worker)
        if isinstance(outcome, Ambiguous):
            return self._lost(flight, outcome)
        tasks = flight.undecided()
        throttled = isinstance(outcome, Throttle)
        self._return(flight.lane, tasks, ev.Throttled if throttled else ev.Returned)
        # A reply from an endpoint that was already given up no longer matters.
        if flight.endpoint is flight.lane.link.endpoint and not self._job.over:
            flight.lane.link.turned_away(outcome, flight.to)
        return None

    def _lost(self, flight: Flight, outcome: Ambiguous) -> None:
        """Charge an attempt to every task of an invocation without a usable reply."""
        what = "its reply was lost" if isinstance(outcome, UnusableReply) else "the connection broke"
        for task in flight.undecided():
            text = f"{what}, and it may have run: {outcome.message}"
            self._lose(flight.lane, task, verdicts.make(TaskLost, task, text), rest=True)
        if flight.endpoint is flight.lane.link.endpoint and not self._job.over:
            flight.lane.link.setback(outcome, flight.to)

    def fetched(self, message: Fetched) -> None:
        """Judge a value downloaded from S3."""
        self._transfers.received(message)
        if not message.task.settled:
            self._judged(message.lane, message.task, message.verdict)

    def _replied(self, flight: Flight, outcome: Reply, worker: WorkerReply | None) -> None:
        try:
            bill, judged, notes = self._judge(flight, outcome, worker)
        except Exception as error:  # a bad reply must cost only its own invocation
            return self._lost(flight, UnusableReply(f"the function's reply is not valid: {error!r}"))
        # Even if no task gets a result from it: AWS bills it.
        self._invoked.append(bill.event)
        if worker is not None and worker.error:
            tasks = flight.undecided()
            self._return(flight.lane, tasks, ev.Returned)
            # The function as a whole cannot run: no other sandbox would fare better.
            raise (VersionMismatch if worker.mismatch else InvokeError)(worker.error)
        for note in notes:
            self._job.publish(ev.Noted(note))
        if worker is not None and worker.outcomes:
            # Tasks of one invocation are of one kind; see `Lane.take`.
            pace = self._chunk_sizes.of(flight.tasks[0].kind)
            # Time spent waiting for a CPU that others use does not count as the task's own.
            seconds = bill.event.serial_seconds or bill.event.task_seconds
            first = worker.sandbox not in self._sandboxes
            self._sandboxes.add(worker.sandbox)
            pace.observe(len(worker.outcomes), seconds, len(outcome.payload), first=first)
            self._stragglers.observe(flight, self._job.time.now())
            self.replies += 1
        charged: list[int] = []
        for task, verdict in zip(flight.tasks, judged, strict=True):
            # A copy may have finished first.
            if not task.settled:
                if not isinstance(verdict, verdicts.NotRun):
                    charged.append(task.index)
                    self._cached.charged(task, bill)
                self._judged(flight.lane, task, verdict)
        self._charged.append((charged, partial(bill.charge, began=self._job.began)))
        return None

    def _judge(
        self, flight: Flight, outcome: Reply, worker: WorkerReply | None
    ) -> tuple[Bill, list[verdicts.Verdict], list[str]]:
        """Read a reply without changing anything: its cost, its meaning for each task, and notes for the user."""
        limits = flight.endpoint.limits
        bill = Bill.of(outcome, worker, flight.endpoint, len(flight.tasks))
        notes = list(self._versions.differences(worker, flight.endpoint.notes, flight.endpoint.differences))
        if worker is not None and worker.left and not self._left_is_told:
            self._left_is_told = True
            notes.append(LEFT.format(", ".join(worker.left)))
        if flight.lane.backend.grows and worker is not None:
            notes += self._supplements.done_without(worker)
        if worker is None or not worker.outcomes:
            return bill, verdicts.judge_failure(outcome, flight.tasks, limits), notes
        used = bill.event.max_memory_mb
        return bill, verdicts.judge(worker, flight.tasks, limits, self._job.name_code, used), notes

    def _judged(self, lane: Lane, task: Task, verdict: verdicts.Verdict) -> None:
        if isinstance(verdict, verdicts.Value):  # almost all of them are, and a case would take much longer
            task.settled = True
            self._done.append(verdict)
            self._cached.keep(task, verdict.container, verdict.log)
            return
        options = self._job.options
        match verdict:
            case verdicts.Fetch(outcome):
                self._transfers.fetch(lane, task, outcome)
            case verdicts.Final(error, not_found) if self._supplemented(lane, task, error, not_found):
                self._return(lane, [task], ev.Retried)
            case verdicts.Final(error) if not (options.retry_errors and isinstance(error, RemoteError)):
                self._fail(lane, task, error)
            case _ if task.flights:
                return  # its copy may still succeed
            # It did not run, so that uploading it again is allowed even with retries=0.
            case verdicts.NotInStore() if task.lost < max(1, options.retries):
                task.lost += 1
                self._job.publish(ev.Retried([task.index]))
                self._upload(lane, task)
            case verdicts.Final(error) | verdicts.Lost(error) | verdicts.NotInStore(error):
                self._lose(lane, task, error)
            # It may have started, or was alone already, so that nobody else can have disturbed it.
            case verdicts.Disturbed(error) if options.retries == 0 or task.alone:
                self._lose(lane, task, error)
            case verdicts.Disturbed():
                task.alone = True
                self._return(lane, [task], ev.Returned)
            case verdicts.NotRun():
                self._return(lane, [task], ev.Returned)

    def _lose(self, lane: Lane, task: Task, error: TaskError, *, rest: bool = False) -> None:
        """Charge a lost attempt to a task, and retry it if attempts are left; `rest`: with a delay during an outage."""
        task.lost += 1
        options = self._job.options
        if task.lost <= options.retries and not self._job.over:
            task.alone = True
            if rest:
                return self._rest(lane, task)
            # With the same memory it would most likely run out again.
            if isinstance(error, TaskOutOfMemory):
                lane = self._lanes.larger(lane, options.retry_memory)
            return self._return(lane, [task], ev.Retried)
        if task.lost > 1:
            facts(error).message += f" (attempt {task.lost} of {options.retries + 1})"
        return self._fail(lane, task, error)

    def _fail(self, lane: Lane, task: Task, error: TaskError) -> None:
        if differences := dict.fromkeys((*lane.link.endpoint.differences, *self._versions.found)):
            same = "to have the same on both sides, install those versions where the notebook runs"
            facts(error).message += f" (the packages differ: {'; '.join(differences)}; {same})"
        self._job.fail(task, error)

    def _supplemented(self, lane: Lane, task: Task, error: TaskError, not_found: Asked) -> bool:
        """Whether a failed task is to be rerun with packages that it missed and that are installed here."""
        if self._job.over or task.flights or not lane.backend.grows or not self._supplements.concerns(error, not_found):
            return False
        new = self._supplements.new(error, not_found)
        if self._job.options.retries == 0:
            # No task may run twice, but the next job can have what this one lacks.
            remember(new)
            return False
        if new:
            self._redeploy(new)
        if not self._supplements.help(task):
            if why := self._supplements.refusal(error, not_found):
                facts(error).message += f" ({why})"
            elif absent := self._supplements.absent(error, not_found):
                facts(error).message += f" ({listed(absent)} is not installed where the notebook runs either)"
            return False
        return True

    def _redeploy(self, new: Mapping[str, str]) -> None:
        """Deploy functions that also have these distributions, or those of them that can be shipped."""
        remember(new)
        try:
            for lane in self._lanes:
                if lane.ready:
                    lane.link.connect()
            refused = next((note for note in self._lanes.first.link.endpoint.notes if REFUSED in note), "")
        except LithopsMagicError as problem:
            # What cannot be shipped must not be tried again by every later job.
            forget(new)
            refused = f"{listed(new)}, which tasks asked for, {REFUSED}: {problem}"
        # What could not be shipped was forgotten; the others may be what was missing.
        added = remembered(new) if refused else list(new)
        self._supplements.add(added)
        self._supplements.refuse(new.keys() - added, refused)
        if not added:
            return
        for note in untold([refused] if refused else []):
            self._job.publish(ev.Noted(note))
        self._job.publish(ev.Noted(f"tasks asked for {listed(added)}, installed here: added, and what failed is rerun"))

    def _rest(self, lane: Lane, task: Task) -> None:
        # The later an attempt, the longer it rests, so that the last one outlives a short outage; see
        # `connection.OUTAGE`.
        lane.resting.append((task, task.lost / self._job.options.retries))
        self._job.publish(ev.Retried([task.index]))

    def _return(self, lane: Lane, tasks: Sequence[Task], kind: Callable[[Sequence[int]], ev.Event]) -> None:
        """Put tasks back at the head of the queue, or withdraw them if the job has ended."""
        if self._job.over:
            kind = ev.Withdrawn
        else:
            lane.waiting.extendleft(reversed(tasks))
        self._job.publish(kind([task.index for task in tasks]))
