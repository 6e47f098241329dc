"""What the engine does with time, money and memory: backup copies, budgets, retries with more memory."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import pytest

import lithops_magic
from faulty_lambda import FaultyLambda, begin, consistent, died, run
from lithops_magic.aws.invoke.outcomes import Outcome, Throttle
from lithops_magic.engine.backend.endpoint import Endpoint
from lithops_magic.engine.dispatch import stragglers
from lithops_magic.engine.dispatch.budget import Budget
from lithops_magic.engine.dispatch.lanes import Flight
from lithops_magic.engine.dispatch.stragglers import Stragglers
from lithops_magic.engine.job.snapshot import Snapshot
from lithops_magic.errors import BudgetSpent, InvokeError, JobCancelled, TaskOutOfMemory
from waiting import eventually

OUT_OF_MEMORY = died("Runtime.OutOfMemory", "x", used=512)


class Hanging:
    """The first invocation of one task hangs until the gate opens."""

    def __init__(self, index: int, then: Outcome | None = None) -> None:
        self.gate = threading.Event()
        self.index, self.then = index, then
        self.sent: Counter[int] = Counter()

    def __call__(self, ids: list[int]) -> Outcome | None:
        self.sent.update(ids)
        if self.index in ids and self.sent[self.index] == 1:
            self.gate.wait(120)
            return self.then
        return None


@pytest.fixture
def looked_for(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Stragglers are found when this is set, and once: on a busy machine any invocation may take long."""
    wanted, among = threading.Event(), Stragglers.among

    def among_once(self: Stragglers, flights: Iterable[Flight], now: float) -> list[Flight]:
        found = among(self, flights, now) if wanted.is_set() else []
        if found:
            wanted.clear()
        return found

    monkeypatch.setattr(Stragglers, "among", among_once)
    monkeypatch.setattr(stragglers, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(stragglers, "PERIOD", 0.02)
    return wanted


def test_a_straggler_gets_one_copy_and_the_first_result_wins(looked_for: threading.Event) -> None:
    hanging = Hanging(7)
    result = begin(FaultyLambda(hanging), range(12), chunksize=2, backups=True)
    assert eventually(lambda: result.snapshot().done == 10)
    looked_for.set()
    assert result.wait(120)
    assert list(result) == [x * 2 for x in range(12)]
    assert hanging.sent[7] == hanging.sent[6] == 2
    assert {hanging.sent[i] for i in range(12) if i not in (6, 7)} == {1}
    snapshot = result.snapshot()
    assert (snapshot.backups, snapshot.done, snapshot.running) == (2, 12, 0)
    # A worker in this process also notes what else runs here.
    assert any("may still be running" in note for note in snapshot.notes)
    hanging.gate.set()


def test_without_backups_no_task_has_a_copy(looked_for: threading.Event) -> None:
    hanging = Hanging(7)
    result = begin(FaultyLambda(hanging), range(12), chunksize=2)
    assert eventually(lambda: result.snapshot().done == 10)
    looked_for.set()
    time.sleep(0.3)
    assert hanging.sent[7] == 1
    hanging.gate.set()
    assert result.wait(120)


@pytest.mark.parametrize("then", [died("Runtime.ExitError", "Error: gone"), Throttle("late")])
def test_a_straggler_that_fails_after_its_copy_won_changes_nothing(then: Outcome, looked_for: threading.Event) -> None:
    slow = threading.Event()
    hanging = Hanging(11, then)

    def fault(ids: list[int]) -> Outcome | None:
        if 11 in ids and hanging.sent[11] == 1:
            hanging.sent.update(ids)
            hanging.gate.set()  # the first one fails while the copy is under way
            slow.wait(120)
            return None
        return hanging(ids)

    result = begin(FaultyLambda(fault), range(12), chunksize=1, retries=0, backups=True)
    assert eventually(lambda: result.snapshot().done == 11)
    looked_for.set()
    assert eventually(lambda: hanging.sent[11] >= 2)
    time.sleep(0.1)
    assert result.snapshot().running == 1
    slow.set()
    assert result.wait(120)
    assert list(result) == [x * 2 for x in range(12)]
    assert result.snapshot().retried == 0
    assert consistent(result)


def test_max_cost_stops_an_endless_job_and_keeps_what_it_paid_for() -> None:
    result = run(FaultyLambda(lambda _: None, workers=8), itertools.count(), chunksize=1, max_cost=2e-5)
    assert isinstance(result.error, BudgetSpent)
    assert "max_cost" in str(result.error)
    assert len(list(result.succeeded().values())) >= 8
    assert result.cost <= 2e-5
    assert consistent(result)
    with pytest.raises(JobCancelled, match="BudgetSpent"):
        result[len(result) - 1]


def test_max_cost_that_suffices_stops_nothing() -> None:
    result = run(FaultyLambda(lambda _: None), range(20), chunksize=1, max_cost=20 * 3e-7 + 1e-6)
    assert list(result) == [x * 2 for x in range(20)]
    assert result.snapshot().projected_cost == pytest.approx(result.cost)


def test_the_first_invocations_are_taken_to_use_their_whole_timeout() -> None:
    endpoint = FaultyLambda(lambda _: None).connect(lambda _: None, afresh=False)
    worst = endpoint.price(endpoint.limits.timeout * 1000) + endpoint.request_price
    assert Budget(10.5 * worst).affordable(Snapshot(), endpoint, 1) == pytest.approx(10.5)
    assert Budget(worst / 2).affordable(Snapshot(), endpoint, 1) == 1
    cheap = Snapshot(total=100, done=10, cost=worst / 100)
    assert Budget(2 * worst).affordable(cheap, endpoint, 1) > 100


class Growing(FaultyLambda):
    """A backend whose functions have 512 MB, 1,024 MB and no more; each remembers which tasks it ran."""

    def __init__(self, fault: Callable[[list[int], int], Outcome | None], memory: int = 512) -> None:
        super().__init__(lambda ids: fault(ids, memory))
        self.memory, self.by_memory = memory, fault
        self.next: Growing | None = None

    def larger(self, factor: float) -> FaultyLambda | None:
        if self.memory == 1024:
            return None
        self.next = Growing(self.by_memory, int(self.memory * factor))
        return self.next


def test_a_task_out_of_memory_gets_more_at_its_next_attempt() -> None:
    def fault(ids: list[int], memory: int) -> Outcome | None:
        return OUT_OF_MEMORY if {3, 5} & set(ids) and memory < 1024 else None

    backend = Growing(fault)
    result = run(backend, range(8), retries=1, retry_memory=2)
    assert list(result) == [x * 2 for x in range(8)]
    assert backend.next is not None
    assert backend.next.runs == Counter({3: 1, 5: 1})
    assert (result.snapshot().retried, result.stats[3].attempts) == (2, 2)


def test_more_memory_than_aws_has_is_not_asked_for() -> None:
    backend = Growing(lambda ids, _: OUT_OF_MEMORY if 3 in ids else None)
    result = run(backend, range(8), retries=3, retry_memory=2)
    assert isinstance(result.errors[3], TaskOutOfMemory)
    assert result.stats[3].attempts == 4
    assert list(result.succeeded().values()) == [x * 2 for x in range(8) if x != 3]


def test_a_larger_function_that_cannot_be_deployed_ends_the_job_with_the_reason() -> None:
    class Poor(Growing):
        def larger(self, factor: float) -> FaultyLambda | None:
            class Undeployable(FaultyLambda):
                def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:
                    raise InvokeError("no such memory")

            return Undeployable(lambda _: None)

    result = run(Poor(lambda ids, _: OUT_OF_MEMORY if 3 in ids else None), range(4), retry_memory=2)
    assert "no such memory" in str(result.error)
    assert consistent(result)


def test_exceptions_are_retried_only_when_asked() -> None:
    backend = FaultyLambda(lambda _: None)
    assert run(backend, ["a", 1], retries=2).stats[0].attempts == 1
    result = lithops_magic.map(lambda x: 1 // x, [0, 1], errors="keep", retry_errors=True, retries=1)
    assert result.stats[0].attempts == 2
    assert isinstance(result.errors[0], ZeroDivisionError)
    assert "attempt 2 of 2" in str(result.errors[0])


def test_items_are_kept_for_what_failed_and_for_what_was_not_run() -> None:
    def items() -> Iterator[int]:
        yield from (0, 1, 2)

    result = lithops_magic.map(lambda x: 1 // x, items(), errors="keep")
    job = result._job
    assert job.item(0) == 0
    with pytest.raises(LookupError, match="iterator"):
        job.item(1)
    assert lithops_magic.map(lambda x: 1 // x, [4, 5])._job.item(1) == 5


def test_times_lie_between_sending_and_receiving() -> None:
    result = lithops_magic.map(time.sleep, [0.05] * 4)
    elapsed = result.snapshot().elapsed
    for stats in result.stats:
        assert 0 <= stats.sent_s <= stats.started_s < stats.ended_s <= elapsed
        assert stats.ended_s - stats.started_s == pytest.approx(stats.duration_s, abs=1e-3)
        assert stats.memory_mb == 1769
