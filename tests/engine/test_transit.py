"""What is in transit is bounded: tasks and bytes that were sent, and replies that wait to be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.aws.invoke.outcomes import Outcome, Reply, Throttle
from lithops_magic.config import Settings
from lithops_magic.engine import MapOptions
from lithops_magic.engine.dispatch import chunk_size, unread
from lithops_magic.engine.dispatch.chunk_size import ChunkSize, Transit
from lithops_magic.engine.dispatch.unread import Unread
from lithops_magic.engine.durable import journal
from lithops_magic.engine.durable.recipe import Recipe
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.function import Function
from virtual_lambda import CRASH, Sent, VirtualLambda, done, prepared, ran, works
from waiting import eventually


class CountingLambda(VirtualLambda):
    """Counts what is in transit when an invocation is sent."""

    tasks_now = octets_now = most_tasks = most_octets = 0

    def send(self, payload: bytes, done: Callable[[Outcome], object]) -> None:
        tasks = len(json.loads(payload)["tasks"])
        self.tasks_now += tasks
        self.octets_now += len(payload)
        self.most_tasks = max(self.most_tasks, self.tasks_now)
        self.most_octets = max(self.most_octets, self.octets_now)

        def landed(outcome: Outcome) -> object:
            self.tasks_now -= tasks
            self.octets_now -= len(payload)
            return done(outcome)

        super().send(payload, landed)


@pytest.mark.parametrize(("workers", "seconds"), [(10, 0.0), (40, 0.0002)])
def test_tiny_tasks_in_transit_are_bounded(workers: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_size, "TRANSIT_TASKS", 4000)
    monkeypatch.setattr(chunk_size, "LEAST_TASKS", 10)
    service = CountingLambda(lambda sent: works(sent, seconds), workers=workers)
    run = ran(service, range(12_000))
    assert run.values == list(range(12_000))
    assert 1000 < service.most_tasks <= 4000 + workers * 10


@pytest.mark.parametrize("workers", [20, 100])
def test_items_in_transit_are_bounded_in_bytes(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_size, "TRANSIT_BYTES", 2_000_000)
    monkeypatch.setattr(chunk_size, "LEAST_BYTES", 1000)
    service = CountingLambda(lambda sent: works(sent, 1e-6, "gAVOLg=="), workers=workers)
    run = ran(service, [b"x" * 5000] * 3000)
    assert run.values == [None] * 3000
    head = 1500
    assert 1_000_000 < service.most_octets <= 2_000_000 + workers * head


def test_results_in_transit_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_size, "TRANSIT_BYTES", 1_000_000)
    monkeypatch.setattr(chunk_size, "LEAST_BYTES", 1000)
    sizes = ChunkSize(None, 6_000_000)
    sizes.observe(10_000, 1.0, 10_000 * 500)
    assert [sizes.size(None, workers) for workers in (1, 10, 100, 2000)] == [2000, 200, 20, 2]


def test_many_workers_still_get_chunks_that_are_worth_an_invocation() -> None:
    sizes = ChunkSize(None, 6_000_000)
    sizes.observe(10_000, 1.0, 10_000)
    assert sizes.size(None, 10_000) == chunk_size.LEAST_TASKS
    assert ChunkSize(None, 6 * 10**6).fit([500_000] * 20, Transit(slots=10_000)) == 1
    assert ChunkSize(7, 10**6).fit([50_000] * 7, Transit(slots=10_000)) == 7, "as requested"


def test_nothing_is_sent_to_a_client_that_is_behind_with_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """All replies arrive at once, and each takes the client as long as a round."""
    monkeypatch.setattr(unread, "MAX_BYTES", 3000)
    counted: list[Unread] = []
    behind: list[int] = []

    class Slow(VirtualLambda):
        def send(self, payload: bytes, done: Callable[[Outcome], object]) -> None:
            behind.append(counted[0].bytes)
            super().send(payload, done)

    service = Slow(workers=30)
    job, scheduler = prepared(service, range(300), chunksize=1)
    counted.append(scheduler._unread)
    answered = scheduler._settlement.answered

    def slowly(answer: Any) -> None:
        answered(answer)
        service.clock.sleep(0.02)

    monkeypatch.setattr(scheduler._settlement, "answered", slowly)
    most: list[int] = []
    add = Unread.add

    def adding(self: Unread, outcome: Outcome) -> None:
        add(self, outcome)
        most.append(self.bytes)

    monkeypatch.setattr(Unread, "add", adding)
    scheduler.run()
    assert job.ledger.values == list(range(300))
    assert max(behind) <= 3000 < max(most), "nothing was sent while more was unread"
    assert counted[0].bytes == 0


def test_every_reply_is_counted_down_whatever_it_was() -> None:
    def behaviour(sent: Sent) -> tuple[float, Any]:
        first = not any(sent.runs)
        match sent.tasks[0] % 4:
            case 0 if first:
                return 1.0, CRASH
            case 1 if first:
                return 0.1, Throttle("ConcurrentInvocationLimitExceeded: Rate Exceeded.")
            case 2 if first:
                return 1.0, {"outcomes": "nonsense"}
        return 1.0, {"outcomes": [done(sent, task) for task in sent.tasks]}

    job, scheduler = prepared(VirtualLambda(behaviour), range(12), chunksize=1)
    scheduler.run()
    assert job.ledger.values == list(range(12))
    assert scheduler._unread.bytes == 0


def test_a_journal_with_much_to_write_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(journal, "AFTER", 3600.0)
    monkeypatch.setattr(journal, "PERIOD", 3600.0)
    job = Job(MapOptions(), str, 2, abs, range(2))
    recipe = Recipe.of(Settings(), MapOptions(), Function.pickle(abs), job.key)
    written = journal.Journal(job, recipe)
    written.start(None)
    payload = b"x" * (journal.BUFFER // 3)
    for noted in (4, 8):  # before it has its folder, and later
        for task in range(noted - 4, noted):
            written.answered([Task(task, task)], Reply(payload, None, "", "", None))
        least = (noted - 1) * len(payload)
        assert eventually(partial(lambda least: written_bytes(tmp_path) >= least, least))
    written.close()
    assert eventually(lambda: written_bytes(tmp_path) >= 8 * len(payload))


def written_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
