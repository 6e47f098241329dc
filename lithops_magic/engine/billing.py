"""What one invocation took and cost, shared out over its tasks."""

from __future__ import annotations

from dataclasses import dataclass

from lithops_magic.aws.outcomes import Reply
from lithops_magic.engine.backend import Endpoint
from lithops_magic.engine.events import Invoked
from lithops_magic.engine.job import Task
from lithops_magic.engine.payload import WorkerReply


@dataclass(frozen=True, slots=True)
class Bill:
    """What one invocation took and cost."""

    event: Invoked
    sandbox: str
    seconds: dict[int, float]
    """Duration of each task that was run, by index."""

    @classmethod
    def of(cls, reply: Reply, worker: WorkerReply | None, endpoint: Endpoint) -> Bill:
        """Read the bill of an invocation that was executed, whether or not the worker could answer."""
        report = reply.report
        billed = float(report.billed_ms) if report else 0.0
        seconds = {index: outcome.seconds for index, outcome in worker.outcomes.items()} if worker else {}
        event = Invoked(
            task_seconds=sum(seconds.values()) if seconds else (report.duration_ms / 1000 if report else 0.0),
            billed_ms=billed,
            cost=endpoint.price(billed),
            request_cost=endpoint.request_price,
            cold=worker.cold if worker else report is not None and report.init_ms is not None,
            max_memory_mb=report.max_memory_mb if report else 0,
        )
        return cls(event, worker.sandbox if worker else "", seconds)

    def charge(self, task: Task) -> None:
        """Add the task's share to what it cost."""
        duration = self.seconds.get(task.index, self.event.task_seconds)
        total = self.event.task_seconds
        stats = task.stats
        stats.duration_s = duration
        stats.billed_ms += self.event.billed_ms * (duration / total if total else 0.0)
        stats.cold, stats.sandbox, stats.max_memory_mb = self.event.cold, self.sandbox, self.event.max_memory_mb
