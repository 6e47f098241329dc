"""A Lambda that fails on demand; the worker is the real one, called in a thread."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from unittest.mock import patch

from lithops_magic.aws.invoke.outcomes import Outcome, Reply
from lithops_magic.aws.invoke.report import InvocationReport
from lithops_magic.engine import MapOptions, MapResult
from lithops_magic.engine.backend.endpoint import Endpoint
from lithops_magic.engine.dispatch.items import Source
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.dispatch.verdicts import Limits
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.store import Store
from lithops_magic.worker import handler, in_process

Fault = Callable[[list[int]], Outcome | None]
"""Given the ids of an invocation's tasks, its outcome; None runs it."""


class Context:
    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


def died(kind: str, message: str, used: int = 100) -> Reply:
    payload = json.dumps({"errorType": kind, "errorMessage": message}).encode()
    return Reply(payload, "Unhandled", "", "id", InvocationReport(1000.0, 1000, 512, used))


ONE_AT_A_TIME = threading.Lock()


class FaultyLambda:
    """A backend and its sender: every invocation first asks `fault`."""

    grows = False

    def __init__(self, fault: Fault, *, workers: int = 4, local: bool = False, store: Store | None = None) -> None:
        self.fault, self.workers, self.local, self.store = fault, workers, local, store
        self.runs: Counter[int] = Counter()
        self.in_flight = self.most_in_flight = self.connects = 0
        self._lock = threading.Lock()

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:
        self.connects += 1
        return Endpoint(
            sender=self,
            workers=self.workers,
            limits=Limits(512, 7),
            local=self.local,
            reused=False,
            price=lambda billed_ms: billed_ms * 1e-8,
            request_price=2e-7,
            store=self.store,
        )

    def larger(self, factor: float) -> FaultyLambda | None:
        return None

    def send(self, payload: bytes, done: Callable[[Outcome], None]) -> None:
        with self._lock:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        threading.Thread(target=self._work, args=(payload, done), daemon=True).start()

    def close(self) -> None:
        pass

    def _work(self, payload: bytes, done: Callable[[Outcome], None]) -> None:
        event = json.loads(payload)
        ids = [task["id"] for task in event["tasks"]]
        outcome = self.fault(ids)
        if outcome is None:
            with self._lock:
                self.runs.update(ids)
                # In this process, because a child that a thread has forked ends with the thread. One at a time, even
                # of several such Lambdas: overlapping patches would restore each other's replacement.
                with ONE_AT_A_TIME, patch.object(handler, "run", in_process.run):
                    reply = handler.handle(event, Context)
            outcome = Reply(reply, None, "", "id", InvocationReport(10.0, 10, 512, 90))
        with self._lock:
            self.in_flight -= 1
        done(outcome)


def begin(backend: FaultyLambda, items: Iterable[Any], **options: Any) -> MapResult:
    job = Job(MapOptions(**options), str, len(items) if isinstance(items, list | range) else None)
    Scheduler(job, Function.pickle(lambda x: x * 2), Source(iter(items)), backend).start()
    return MapResult(job)


def run(backend: FaultyLambda, items: Iterable[Any], **options: Any) -> MapResult:
    result = begin(backend, items, **options)
    assert result.wait(120)
    return result


def times(limit: int, outcome: Outcome) -> Fault:
    """`outcome` for the first `limit` invocations."""
    left = iter(range(limit))
    lock = threading.Lock()

    def fault(_: list[int]) -> Outcome | None:
        with lock:
            return outcome if next(left, None) is not None else None

    return fault


def consistent(result: MapResult) -> bool:
    s = result.snapshot()
    return s.total == (s.queued or 0) + s.running + s.done + s.failed + s.cancelled
