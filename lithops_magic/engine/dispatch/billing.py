"""Duration and cost of an invocation, shared among its tasks."""

from __future__ import annotations

from dataclasses import dataclass

from lithops_magic.aws.invoke.outcomes import Reply
from lithops_magic.engine.backend.endpoint import Endpoint
from lithops_magic.engine.job.events import Charge, Invoked
from lithops_magic.engine.wire.reply import VerifiedReply, WorkerReply

FROM_CACHE = "cache"
"""Sandbox name for cached values, which no invocation computed."""


@dataclass(frozen=True, slots=True)
class Bill:
    """Duration and cost of an invocation."""

    event: Invoked
    sandbox: str
    starts: dict[int, float]
    """When each task that ran was started, by the sandbox's wall clock; empty if that is unknown."""
    seconds: dict[int, float]
    """How long each took."""
    tasks: int
    """Number of tasks that share it."""

    @classmethod
    def of(cls, reply: Reply, worker: WorkerReply | None, endpoint: Endpoint, tasks: int) -> Bill:
        """Compute the bill of an executed invocation of `tasks` tasks, whether or not the worker replied."""
        report = reply.report
        billed = float(report.billed_ms) if report else 0.0
        outcomes = worker.outcomes if worker else {}
        starts = {index: outcome.started for index, outcome in outcomes.items()}
        durations = {index: outcome.seconds for index, outcome in outcomes.items()}
        # The worker's own measurements where it replied: REPORT's duration also covers the worker, and is all there is
        # if the sandbox died.
        seconds = sum(durations.values())
        event = Invoked(
            task_seconds=seconds if starts else (report.duration_ms / 1000 if report else 0.0),
            serial_seconds=_serial(reply, worker, seconds, local=endpoint.local),
            billed_ms=billed,
            cost=endpoint.price(billed),
            request_cost=0.0 if worker and worker.sandbox == FROM_CACHE else endpoint.request_price,
            cold=worker.cold if worker else report is not None and report.init_ms is not None,
            max_memory_mb=report.max_memory_mb if report else 0,
        )
        # A chunk that was lost with its sandbox has no durations, and its tasks share the bill.
        return cls(event, worker.sandbox if worker else "", starts, durations, len(durations) or tasks)

    def cost(self, index: int) -> float:
        """Return the cost of one task in USD: its share of the invocation's cost, by duration."""
        return self.event.cost * self._share(index) + self.event.request_cost / self.tasks

    def charge(self, index: int, began: float) -> Charge:
        """Return the charge of one task, for a job that started at `began` on the wall clock."""
        event = self.event
        seconds, started = self.seconds.get(index, event.task_seconds), self.starts.get(index, began)
        billed_ms = event.billed_ms * self._share(index)
        return Charge(seconds, billed_ms, started - began, event.cold, self.sandbox, event.max_memory_mb)

    def _share(self, index: int) -> float:
        """Return a task's share by duration, or an equal one if no duration is known: shares add up to 1."""
        total = self.event.task_seconds
        return self.seconds[index] / total if self.seconds and total else 1 / self.tasks


def _serial(reply: Reply, worker: WorkerReply | None, seconds: float, *, local: bool) -> float:
    """Return how long an invocation's tasks would take in sequence; 0 if this session did not wait for them.

    Sandboxes of the local AWS share the machine's CPUs: time spent waiting for one does not count.
    """
    if worker is None or isinstance(reply, VerifiedReply):
        return 0.0
    if worker.waited is not None:
        return max(0.0, seconds - worker.waited)
    # Where the system does not record waiting times, the local AWS has no honest speedup to report.
    return 0.0 if local else seconds
