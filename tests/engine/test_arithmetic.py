"""The arithmetic behind cost, time left, chunk sizes and limits, against values computed by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lithops_magic.aws.invoke.outcomes import Reply
from lithops_magic.aws.invoke.report import InvocationReport
from lithops_magic.engine.backend import limiter
from lithops_magic.engine.backend.endpoint import Endpoint, Limits, NoSender
from lithops_magic.engine.backend.limiter import Limiter, ramp
from lithops_magic.engine.dispatch.billing import Bill
from lithops_magic.engine.dispatch.budget import Budget
from lithops_magic.engine.dispatch.chunk_size import ChunkSize, ChunkSizes
from lithops_magic.engine.dispatch.lanes import Flight
from lithops_magic.engine.dispatch.stragglers import Stragglers
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.events import Charge
from lithops_magic.engine.job.ledger import Ledger
from lithops_magic.engine.job.snapshot import Snapshot, reduce
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.reply import Outcome, VerifiedReply, WorkerReply
from lithops_magic.errors import TaskError

ENDPOINT = Endpoint(
    sender=NoSender(),
    workers=10,
    limits=Limits(memory=1024, timeout=100),
    local=False,
    reused=False,
    price=lambda billed_ms: billed_ms * 1e-5,
    request_price=0.001,
)

ERROR = TaskError("why", index=0)


def after(*events: ev.Event, start: Snapshot | None = None) -> Snapshot:
    snapshot = start or Snapshot()
    for event in events:
        snapshot = reduce(snapshot, event)
    return snapshot


# Chunk sizes


def test_the_average_forgets_by_three_tenths() -> None:
    chunks = ChunkSize(None, 1000)
    chunks.observe(1000, 10.0, 0)  # 0.01 s each
    assert chunks.size(None, 1) == 50  # 0.5 s of work
    chunks.observe(1000, 30.0, 0)  # 0.01 + 0.3 x (0.03 - 0.01) = 0.016 s each
    assert chunks.size(None, 1) == 31
    chunks.observe(0, 99.0, 10**9)
    assert chunks.size(None, 1) == 31


def test_a_chunk_is_two_thirds_of_a_workers_share_of_what_remains() -> None:
    chunks = ChunkSize(None, 1000)
    chunks.observe(1000, 100.0, 0)  # 0.1 s each
    assert chunks.size(None, 1) == 5
    assert chunks.size(18, 4) == 3  # 18 / 4 / 1.5
    assert chunks.size(19, 4) == 4
    assert chunks.size(1, 4) == 1
    assert chunks.size(7, 4) == 1  # two would be more than a share
    assert chunks.size(8, 4) == 2
    # 2,000 workers: 2000 / 500 = 4 s of work each.
    assert chunks.size(None, 2000) == 40


def test_many_workers_get_chunks_that_one_client_can_send() -> None:
    chunks = ChunkSize(None, 1000)
    chunks.observe(1000, 100.0, 0)  # 0.1 s each
    assert chunks.size(10, 20_000) == 50  # 20,000 / 4,000 = 5 s of work
    assert chunks.size(10, 2_000) == 5
    # Where that is less than 50 ms it does not count.
    quick = ChunkSize(None, 1000)
    quick.observe(1000, 1.0, 0)  # 0.001 s each
    assert (quick.size(10, 200), quick.size(10, 201)) == (50, 50)
    assert quick.size(10, 208) == 52


def test_the_last_chunks_are_not_split_below_fifty_milliseconds() -> None:
    chunks = ChunkSize(None, 1000)
    chunks.observe(1000, 1.0, 0)  # 0.001 s each
    assert chunks.size(10, 10) == 50


def test_the_last_chunks_are_shared_by_the_sandboxes_seen_even_if_more_are_allowed() -> None:
    chunks = ChunkSize(None, 1000)
    for _ in range(8):
        chunks.observe(1, 0.05, 0, first=True)
    # 1,000 / 4,000 = 0.25 s for a thousand workers, but 1.5 rounds of eight sandboxes are left at the end.
    assert [chunks.size(left, 1000) for left in (180, 60, 48, 25, 24, 12, 3)] == [5, 5, 4, 3, 2, 1, 1]
    # No more than allowed: some have been replaced.
    assert chunks.size(18, 4) == 3
    unseen = ChunkSize(None, 1000)
    unseen.observe(8, 0.4, 0)
    assert unseen.size(12, 1000) == 5
    quick = ChunkSize(None, 1000)
    quick.observe(100, 0.1, 0, first=True)  # 0.001 s each
    assert quick.size(10, 1000) == 50


def test_replies_and_growth_bound_a_chunk() -> None:
    chunks = ChunkSize(None, 1000)
    chunks.observe(1, 1e-6, 0)
    assert chunks.size(None, 1) == 8
    chunks.observe(9, 9e-6, 0)
    assert chunks.size(None, 1) == 80
    large = ChunkSize(None, 1000)
    large.observe(100, 1e-4, 100 * 300_000)
    assert large.size(None, 1) == 10  # 3 MB of replies
    large.observe(100, 1e-4, 0)  # 300,000 - 0.3 x 300,000 = 210,000
    assert large.size(None, 1) == 14


def test_small_replies_and_few_tasks_bound_no_chunk_and_ten_thousand_is_the_most() -> None:
    chunks = ChunkSize(None, 1000)
    chunks.observe(1_000_000, 1.0, 0)  # 1 us each: 500,000 would take half a second
    assert chunks.size(None, 1) == 10_000
    tight = ChunkSize(None, 1000)
    tight.observe(1, 0.1, 600_000)
    tight.observe(1, 0.1, 600_000)
    assert tight.size(None, 1) == 5  # half a second, and 3 MB of replies


def test_a_sandboxs_first_task_counts_only_until_a_later_one_is_known() -> None:
    chunks = ChunkSize(None, 1000)
    chunks.observe(1, 0.15, 0, first=True)  # imports what the others find imported
    assert chunks.tiny
    chunks.observe(1, 0.25, 0, first=True)  # 0.15 + 0.3 x 0.1 = 0.18 s
    assert (chunks.tiny, chunks.size(None, 1)) == (True, 2)
    chunks.observe(1, 0.001, 0)
    assert (chunks.tiny, chunks.size(None, 1)) == (True, 24)  # eight times those measured
    chunks.observe(1000, 150.0, 0, first=True)
    assert chunks.size(None, 1) == 500
    chunks.observe(1000, 101.0, 0)  # 0.001 + 0.3 x 0.1 = 0.031 s
    assert (chunks.tiny, chunks.size(None, 1)) == (True, 16)


def test_first_tasks_that_take_long_are_worth_a_sandbox_each() -> None:
    chunks = ChunkSize(None, 1000)
    chunks.observe(1, 0.21, 0, first=True)
    assert not chunks.tiny
    later = ChunkSize(None, 1000)
    later.observe(1, 0.06, 0)
    assert not later.tiny


def test_processes_of_a_sandbox_divide_the_time() -> None:
    chunks = ChunkSize(None, 1000, processes=4)
    assert chunks.size(None, 1) == 4
    chunks.observe(1000, 40.0, 0)  # 0.04 s each, four at a time: 0.01 s
    assert chunks.size(None, 1) == 50
    few = ChunkSize(None, 1000, processes=4)
    few.observe(2, 0.8, 0)  # two at a time: 0.4 / 2 = 0.2 s each
    assert few.size(None, 1) == 4
    assert not few.tiny


def test_a_task_is_tiny_below_fifty_milliseconds() -> None:
    chunks = ChunkSize(None, 1000)
    assert chunks.tiny
    chunks.observe(1, 0.05, 0)
    assert not chunks.tiny
    assert not ChunkSize(3, 1000).tiny


def test_commas_count() -> None:
    assert ChunkSize(None, 11).fit([5, 5]) == 2
    assert ChunkSize(None, 10).fit([5, 5]) == 1
    assert ChunkSize(None, 1).fit([5, 5]) == 1
    assert ChunkSize(None, 100).fit([]) == 0


# What may be in flight


def test_each_kind_of_task_has_its_own_chunks_and_the_latest_is_asked_about() -> None:
    sizes = ChunkSizes(None, 1_000_000)
    one, other = sizes.of("one"), sizes.of("other")
    one.observe(1, 0.001, 10, first=False)
    assert one is not other
    assert sizes.latest is other
    assert (sizes.of("one"), sizes.latest) == (one, one)
    assert (one.size(None, 1) > 1, other.size(None, 1)) == (True, 1)
    assert one.room == 1_000_000


def test_the_ramp_doubles_each_quarter_second_and_gives_two_for_each_reply() -> None:
    assert ramp(0.0, 0) == 8
    assert ramp(0.25, 0) == 16
    assert ramp(1.0, 5) == 138
    assert ramp(1e9, 0) == 8 * 2**20


def test_a_limit_that_is_reached_grows_by_half_and_by_a_hundred_per_second() -> None:
    one = Limiter(10_000)
    assert one.limit == 1000
    one.filled(100.0, 1000, True)  # the first step is at most a second long
    assert one.limit == 1100
    one.filled(100.5, 1100, True)
    assert one.limit == 1150
    one.filled(100.7, 1149, True)  # not reached
    one.filled(100.9, 1150, False)  # nothing waits
    assert one.limit == 1150
    small = Limiter(4)
    assert small.limit == 4
    small.filled(1.0, 4, True)
    assert small.limit == 4


def test_where_there_is_no_sandbox_for_more_the_limit_is_what_was_taken() -> None:
    one = Limiter(100)
    one.filled(10.0, 100, True)
    for _ in range(96):
        one.throttled(10.0, None, full=True)
    assert one.limit == 4
    assert one.pause(10.0) == 0.0  # each answer makes room for one
    one.filled(10.0, 4, True)
    assert one.limit == 4  # no time has passed
    one.filled(1000.0, 4, True)
    assert one.limit == 6  # two a second, a second at most


def test_too_fast_is_one_piece_of_news_for_a_whole_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter.random, "uniform", lambda low, high: 1.0)
    one = Limiter(100)
    one.filled(10.0, 100, True)
    for _ in range(50):
        one.throttled(10.0, None, full=False)
    assert one.limit == 70  # 0.7 x 100
    assert one.pause(10.0) == pytest.approx(0.1)
    one.throttled(10.3, None, full=False)
    assert one.limit == 49
    assert one.pause(10.3) == pytest.approx(0.2)


def test_while_nobody_knows_whether_anything_runs_one_at_a_time_is_sent() -> None:
    one = Limiter(100)
    one.filled(10.0, 100, True)
    one.setback(10.0)
    assert one.limit == 100  # a single case
    for _ in range(9):
        one.setback(10.0)
    assert one.limit == 1
    assert one.pause(10.0) > 0
    one.accepted()
    assert one.limit > 1


def test_an_answer_makes_the_next_pause_short_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter.random, "uniform", lambda low, high: 1.0)
    one = Limiter(100)
    pauses = []
    for now in (0.0, 20.0, 40.0):
        one.throttled(now, None, full=False)
        pauses.append(one.pause(now))
    assert pauses == pytest.approx([0.1, 0.2, 0.4])
    one.accepted()
    one.throttled(60.0, None, full=False)
    assert one.pause(60.0) == pytest.approx(0.1)
    one.throttled(80.0, 7.0, full=False)
    assert one.pause(80.0) == pytest.approx(7.0)


def test_only_throttles_for_five_minutes_are_the_end() -> None:
    one = Limiter(100)
    assert not one.stalled(1e9)
    one.throttled(1000.0, None, full=False)
    assert not one.stalled(1300.0)
    assert one.stalled(1300.1)
    one.accepted()
    assert not one.stalled(1300.1)


def test_a_new_limiter_knows_nothing() -> None:
    assert (Limiter(0).most, Limiter(0).limit) == (1, 1)
    assert Limiter(10_000).limit == 1000  # what AWS starts at once
    early = Limiter(100)
    early.setback(0.0)  # before anything was sent: whatever this one was, it was not among others
    assert early.limit == 1
    lone = Limiter(2)
    lone.filled(0.5, 2, True)
    assert lone.limit == 2
    lone.throttled(0.5, None, full=False)
    assert lone.limit == 1  # 0.7 x 2, in whole invocations


@pytest.mark.parametrize(
    ("limit", "in_flight", "seconds", "then"),
    [(1000, 1000, 0.5, 1050), (100, 100, 0.5, 125), (100, 100, 3.0, 150), (3, 3, 1.0, 5), (1, 1, 0.5, 2)],
)
def test_growth(limit: int, in_flight: int, seconds: float, then: int) -> None:
    one = Limiter(100_000)
    one._limit = float(limit)
    one.filled(10.0, 0, False)
    one.filled(10.0 + seconds, in_flight, True)
    assert one.limit == then


def test_three_losses_in_a_row_are_an_outage_and_so_is_the_only_one_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter.random, "uniform", lambda low, high: high - low)
    one = Limiter(100)
    one.filled(10.0, 100, True)
    one.setback(10.0)
    one.setback(10.0)
    assert (one.limit, one.pause(10.0)) == (100, 0.0)
    one.setback(10.0)
    assert (one.limit, one.pause(10.0)) == (1, pytest.approx(0.1))
    one.setback(10.05)  # of the same outage
    one.accepted()
    assert one.limit == 70
    two = Limiter(100)
    two.filled(10.0, 2, True)
    two.setback(10.0)
    assert two.limit == 100
    two.setback(10.0)  # none is left in flight
    assert two.limit == 1
    two.accepted()
    assert two.limit == 70
    two.filled(20.0, 5, False)
    two.setback(20.0)
    two.setback(20.0)
    assert two.limit == 70
    two.accepted()
    two.setback(20.0)
    two.setback(20.0)
    assert two.limit == 70  # an answer between makes them single cases


def test_a_limit_of_an_outage_falls_to_one_at_least_and_its_pauses_to_three_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limiter.random, "uniform", lambda low, high: high)
    one = Limiter(1)
    pauses = []
    for attempt in range(8):
        now = 100.0 * attempt
        one.filled(now, 1, False)
        one.setback(now)
        pauses.append(one.pause(now))
    assert pauses == pytest.approx([0.15, 0.3, 0.6, 1.2, 2.4, 4.5, 4.5, 4.5])  # half as much again by chance
    one.accepted()
    assert one.limit == 1


@pytest.mark.parametrize(("full", "longest"), [(True, 2.0), (False, 10.0)])
def test_pauses_double_up_to_what_their_reason_deserves(
    full: bool, longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter.random, "uniform", lambda low, high: (low + high) / 2)
    one = Limiter(100)
    pauses = []
    for attempt in range(9):
        one.filled(100.0 * attempt, 1, False)
        one.throttled(100.0 * attempt, None, full=full)
        pauses.append(one.pause(100.0 * attempt))
    assert pauses == pytest.approx([min(longest, 0.1 * 2**attempt) for attempt in range(9)])


def test_chance_takes_half_or_adds_half(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    monkeypatch.setattr(limiter.random, "uniform", uniform)
    one = Limiter(100)
    one.throttled(5.0, None, full=False)
    assert asked == [(0.5, 1.5)]
    assert one.pause(5.0) == pytest.approx(0.05)


def test_more_is_tried_a_tenth_of_a_second_after_aws_was_full_or_when_it_says() -> None:
    for retry_after, wait in ((None, 0.1), (0.02, 0.1), (0.5, 0.5)):
        one = Limiter(100)
        one.filled(10.0, 10, False)
        one.throttled(10.0, retry_after, full=True)
        assert (one.limit, one.pause(10.0)) == (9, 0.0)
        one.filled(10.0 + wait - 0.01, 9, True)
        assert one.limit == 9
        one.filled(10.0 + wait + 0.5, 9, True)
        assert one.limit == 11  # half a second at 4.5 a second
    last = Limiter(100)
    last.filled(10.0, 2, False)
    last.throttled(10.0, None, full=True)
    assert (last.limit, last.pause(10.0)) == (1, 0.0)  # one is still in flight
    last.throttled(10.0, None, full=True)
    assert last.limit == 70
    assert last.pause(10.0) > 0


# What a job has come to


def test_counts_add_up() -> None:
    s = after(
        ev.Started(10.0, 512),
        ev.Counted(20),
        ev.Submitted(range(8)),
        ev.Answered((), [(task, None, "") for task in range(3)]),
        ev.Failed(0, ERROR),
        ev.Retried([0]),
        ev.Returned(range(1)),
    )
    assert (s.running, s.done, s.failed, s.retried, s.queued) == (2, 3, 1, 1, 14)
    s = after(ev.Throttled(range(1)), ev.BackedUp(range(1)), ev.Failed(0, ERROR, sent=False), start=s)
    assert (s.running, s.throttled, s.backups, s.failed, s.queued) == (1, 1, 1, 2, 14)
    s = after(ev.Cancelled(12.0), ev.Withdrawn(range(1)), start=s)
    assert (s.state, s.running, s.cancelled, s.queued) == ("cancelled", 0, 15, 0)
    assert s.done + s.failed + s.cancelled == s.total
    assert after(ev.Submitted(range(3))).queued is None


def test_bytes_that_tasks_read_add_up() -> None:
    assert after(ev.Answered((), (), (), 0.0, 5), ev.Answered((), (), (), 0.0, 7)).read == 12


def test_clocks() -> None:
    s = after(ev.Phase("Deploying"), start=Snapshot(started_at=100.0)).at(103.0)
    assert (s.elapsed, s.running_seconds, s.phase) == (3.0, 0.0, "Deploying")
    assert after(ev.Started(104.0, 512, True), start=s).local
    s = after(ev.Started(104.0, 512), start=s).at(110.0)
    assert (s.local, s.phase, s.memory_mb) == (False, "", 512)
    # The running phase began at 104; nothing had run before.
    assert (s.running_at, s.elapsed, s.running_seconds) == (104.0, 10.0, 6.0)
    s = after(ev.Ended(112.0), start=s).at(500.0)
    assert (s.elapsed, s.running_seconds) == (12.0, 8.0)
    # What is run again later continues both clocks.
    again = s.rerun(5, 600.0)
    assert again.started_at == 588.0
    later = after(ev.Started(601.0, 512), start=again).at(605.0)
    assert (later.elapsed, later.running_seconds, later.done) == (17.0, 12.0, 5)


def test_rate_and_time_left() -> None:
    s = Snapshot(total=100, done=18, failed=2, cancelled=10, running=10, in_flight=5, running_seconds=4.0)
    s = replace(s, task_seconds=60.0)
    assert s.rate == 5.0
    assert s.eta == 39.0  # 65 tasks, as those in flight are half done, of 3 s each in 5 sandboxes
    # 2 s in flight, but it takes 13 s at 5 a second: what is around the tasks takes longer than they do.
    assert replace(s, running=0, in_flight=0, task_seconds=0.01).eta == 14.0
    assert replace(s, running=0, in_flight=0, task_seconds=100.0).eta == 350.0
    # While most tasks are in their first invocations, the pace says nothing: 75 tasks of 0.01 s each in 5 sandboxes.
    early = Snapshot(total=100, done=20, running=10, in_flight=5, running_seconds=4.0, task_seconds=0.2)
    assert early.eta == pytest.approx(0.15)
    assert Snapshot(total=100).eta is None
    assert Snapshot(done=5, running_seconds=1.0).eta is None
    assert Snapshot(total=100, done=50, running_seconds=1.0, ended_at=1.0).eta == 0.0


def test_rate_and_time_left_within_a_second() -> None:
    s = Snapshot(total=5, done=4, running=1, in_flight=1, running_seconds=0.5, task_seconds=4.0)
    assert (s.rate, s.eta) == (8.0, 0.5)  # half of a task that takes a second


def test_cost_so_far_and_projected() -> None:
    invoked = (
        ev.Invoked(task_seconds=2.0, billed_ms=2100.0, cost=0.03, request_cost=0.01, cold=True, max_memory_mb=90),
    )
    more = (ev.Invoked(task_seconds=1.0, billed_ms=1050.0, cost=0.015, request_cost=0.01, max_memory_mb=80),)
    s = after(
        ev.Counted(10),
        ev.Submitted(range(4)),
        ev.Answered(invoked, [(task, None, "") for task in range(2)]),
        ev.Answered(more, [(task, None, "") for task in range(1)]),
        ev.Failed(0, ERROR),
    )
    assert (s.invocations, s.cold_starts, s.max_memory_mb) == (2, 1, 90)
    assert (s.task_seconds, s.billed_ms, s.cost, s.request_cost) == pytest.approx((3.0, 3150.0, 0.045, 0.02))
    # 0.065 for 4 of 10 tasks.
    assert s.projected_cost == pytest.approx(0.1625)
    # Nothing is paid for the 6 that will not be sent.
    assert after(ev.Cancelled(1.0), start=s).projected_cost == pytest.approx(0.065)
    assert Snapshot(total=10).projected_cost is None
    assert Snapshot(done=1, cost=1.0).projected_cost is None


def test_speed_up_is_work_of_this_session_over_its_time() -> None:
    ours = ev.Invoked(task_seconds=6.0, serial_seconds=5.0)
    replayed = ev.Invoked(task_seconds=100.0)
    s = after(ev.Started(101.0, 512), ev.Answered((ours, replayed)), start=Snapshot(started_at=100.0, total=2))
    assert s.at(104.0).speedup == 1.25
    assert Snapshot().speedup == 0.0


# What an invocation took and cost


def test_a_bill_is_shared_out_by_duration() -> None:
    report = InvocationReport(duration_ms=4000.0, billed_ms=4200, memory_mb=1024, max_memory_mb=77, init_ms=200.0)
    outcomes = {3: Outcome("ok", started=50.5, seconds=3.0), 4: Outcome("ok", started=53.5, seconds=1.0)}
    bill = Bill.of(Reply(b"", None, "", "r", report), WorkerReply("box", True, outcomes), ENDPOINT, 2)
    assert bill.event == ev.Invoked(4.0, 4200.0, pytest.approx(0.042), 0.001, True, 77, 4.0)
    assert bill.charge(3, 40.0) == Charge(3.0, pytest.approx(3150.0), 10.5, True, "box", 77)
    assert bill.charge(4, 40.0) == Charge(1.0, pytest.approx(1050.0), 13.5, True, "box", 77)
    # $0.042 of time by duration, and the $0.001 of the request in equal parts.
    assert (bill.cost(3), bill.cost(4)) == pytest.approx((0.0315 + 0.0005, 0.0105 + 0.0005))


def test_a_worker_knows_better_than_the_report() -> None:
    report = InvocationReport(duration_ms=9000.0, billed_ms=9000, memory_mb=1024, max_memory_mb=77, init_ms=200.0)
    bill = Bill.of(
        Reply(b"", None, "", "r", report), WorkerReply("box", False, {3: Outcome("ok", 0.0, 1.0)}), ENDPOINT, 1
    )
    assert (bill.event.task_seconds, bill.event.cold) == (1.0, False)
    # Tasks that took no time share equally, and divide nothing by zero.
    outcomes = {3: Outcome("ok", 50.0, 0.0), 4: Outcome("ok", 50.0, 0.0)}
    idle = Bill.of(Reply(b"", None, "", "r", report), WorkerReply("box", True, outcomes), ENDPOINT, 2)
    assert idle.charge(3, 40.0) == idle.charge(4, 40.0) == Charge(0.0, 4500.0, 10.0, True, "box", 77)
    assert idle.cost(3) == pytest.approx(0.0455)


def test_waiting_for_a_cpu_is_no_work() -> None:
    outcomes = {3: Outcome("ok", seconds=3.0), 4: Outcome("ok", seconds=1.0)}
    local = replace(ENDPOINT, local=True)

    def serial(reply: Reply, waited: float | None, endpoint: Endpoint) -> float:
        return Bill.of(reply, WorkerReply("box", True, outcomes, waited=waited), endpoint, 2).event.serial_seconds

    told = Reply(b"", None, "", "r", None)
    assert serial(told, 2.5, local) == serial(told, 2.5, ENDPOINT) == 1.5
    assert serial(told, 99.0, local) == 0.0
    # A machine that does not tell claims nothing; in Lambda each sandbox has its CPU.
    assert serial(told, None, local) == 0.0
    assert serial(told, None, ENDPOINT) == 4.0
    # What an earlier session ran, this one did not wait for.
    assert serial(VerifiedReply(b"", None, "", "r", None), 2.5, local) == 0.0


def test_an_invocation_whose_worker_could_not_answer_costs_what_the_report_says() -> None:
    report = InvocationReport(duration_ms=2500.0, billed_ms=2501, memory_mb=1024, max_memory_mb=1024)
    bill = Bill.of(Reply(b"", "Unhandled", "", "r", report), None, ENDPOINT, 1)
    assert bill.event == ev.Invoked(2.5, 2501.0, pytest.approx(0.02501), 0.001, False, 1024)
    # Its one task is charged with all of it, from the job's start for want of better knowledge.
    assert bill.charge(0, 40.0) == Charge(2.5, 2501.0, 0.0, False, "", 1024)
    assert bill.cost(0) == pytest.approx(0.02501 + 0.001)
    # Several tasks share it: none of them is charged with all of it.
    chunk = Bill.of(Reply(b"", "Unhandled", "", "r", report), None, ENDPOINT, 4)
    assert chunk.charge(2, 40.0) == Charge(2.5, 625.25, 0.0, False, "", 1024)
    assert chunk.cost(2) == pytest.approx((0.02501 + 0.001) / 4)
    # What the cache has replied for was no request.
    assert Bill.of(Reply(b"", None, "", "", None), WorkerReply("cache", False, {}), ENDPOINT, 1).cost(0) == 0.0
    nothing = Bill.of(Reply(b"", "Unhandled", "", "r", None), None, ENDPOINT, 1)
    assert nothing.event == ev.Invoked(0.0, 0.0, 0.0, 0.001, False, 0)


def test_sandbox_clocks_are_believed_between_sending_and_receiving_only() -> None:
    ledger = Ledger()
    for index, started in enumerate((2.0, -50.0, 99.0)):
        ledger.add()
        ledger.submit(index, 1.0, 512)
        ledger.charge(index, Charge(3.0, 3100.0, started, False, "box", 70_000), received=8.0)
    rows = [ledger.stats(index) for index in range(3)]
    assert [(row.started_s, row.ended_s) for row in rows] == [(2.0, 5.0), (1.0, 4.0), (5.0, 8.0)]
    assert [(row.attempts, row.max_memory_mb, row.sandbox) for row in rows] == [(1, 65_535, "box")] * 3
    ledger.take_back(0, counted=True)
    ledger.submit(0, 9.0, 1024)
    assert ledger.lost[0].billed_ms == pytest.approx(3100.0)
    ledger.charge(0, Charge(1.0, 1000.0, 9.5, True, "other", 10), received=11.0)
    row = ledger.stats(0)
    assert (row.attempts, row.duration_s, row.billed_ms, row.memory_mb) == (2, 1.0, pytest.approx(4100.0), 1024)
    ledger.take_back(1, counted=False)
    assert ledger.stats(1).attempts == 0
    ledger.mark(0, "done")
    ledger.mark(2, "failed")
    assert ledger.durations() == [1.0, 3.0]


# Money


@pytest.mark.parametrize(
    ("snapshot", "chunk", "invocations"),
    [
        # Nothing is known: tasks may take the whole 100 s, $1 and the request.
        ({}, 5, 9.99),
        # 10 tasks cost $0.5: a chunk of 4 costs $0.2 and the request.
        ({"done": 8, "failed": 2, "cost": 0.5, "request_cost": 0.01}, 4, (10 - 0.51) / 0.201),
        # A task that costs more than a whole timeout is not expected.
        ({"done": 1, "cost": 4.0}, 2, 6 / 1.001),
        ({"done": 10, "cost": 10.5}, 1, -0.5 / 1.001),
    ],
)
def test_a_budget_buys_invocations(snapshot: dict[str, Any], chunk: int, invocations: float) -> None:
    assert Budget(10.0).affordable(Snapshot(**snapshot), ENDPOINT, chunk) == pytest.approx(invocations, rel=1e-4)


def test_one_invocation_may_tell_what_the_others_cost() -> None:
    assert Budget(0.01).affordable(Snapshot(), ENDPOINT, 1) == 1.0
    assert Budget(0.01).affordable(Snapshot(cost=0.001), ENDPOINT, 1) < 1.0
    assert Budget(None).affordable(Snapshot(cost=1e9), ENDPOINT, 1) == float("inf")


def test_spent_money_says_how_much_of_how_much_and_what_to_do() -> None:
    error = Budget(0.5).spent(Snapshot(cost=0.375, request_cost=0.125))
    assert str(error) == (
        "The job has cost $0.50 of the $0.50 that max_cost allows: nothing more is sent. "
        "Raise the total (--max-cost), or run what is left with .retry(max_cost=…)."
    )


# Stragglers


def flight(tasks: int, sent_at: float, *, copied: int = 0, flights: int = 1) -> Flight:
    sent = [Task(index, index) for index in range(tasks)]
    for task in sent:
        task.flights = flights
    return Flight(None, sent, ENDPOINT, sent_at, copied)  # type: ignore[arg-type]


def test_a_straggler_takes_three_times_as_long_as_usual() -> None:
    seen = Stragglers()
    assert seen.among([flight(1, -1e9)], 0.0) == []
    for seconds in (2.0, 4.0, 6.0):
        seen.observe(flight(2, 0.0), seconds)  # 1, 2, 3 s a task: usually 2
    late, on_time, copied = flight(1, 93.9), flight(1, 94.1), flight(1, 0.0, copied=1, flights=2)
    assert seen.among([late, on_time, copied], 100.0) == [late]
    lost, lost_again = flight(1, 0.0, copied=1), flight(1, 0.0, copied=2)
    assert seen.among([lost, lost_again], 100.0) == [lost]
    assert seen.among([flight(1, 94.0)], 100.0) == []  # exactly three times is not longer
    # The times of several tasks add up, what they differ by adds up to its root: 2 x (4 + 2 x 2) = 16 s.
    four = flight(4, 83.9)
    assert seen.among([four, flight(4, 84.1), flight(4, 84.0)], 100.0) == [four]
    offset = Stragglers()
    offset.observe(flight(1, 100.0), 102.0)
    assert len(offset.among([flight(1, 0.0)], 6.1)) == 1
    # What was long ago no longer counts: the last 20,000 do.
    for _ in range(20_000):
        offset.observe(flight(1, 0.0), 10.0)
    assert offset.among([flight(1, 0.0)], 29.0) == []
    assert len(offset._seconds) == 20_000
    # The last to answer are the slow ones: a median of those would find nobody slow.
    crowd = Stragglers()
    for seconds in (1.0,) * 4000 + (5.0,) * 1500:
        crowd.observe(flight(1, 0.0), seconds)
    assert len(crowd.among([flight(1, 0.0)], 3.1)) == 1
    quick = Stragglers()
    quick.observe(flight(1, 0.0), 0.01)
    assert quick.among([flight(1, 9.1)], 10.0) == []
    assert len(quick.among([flight(1, 8.9)], 10.0)) == 1
