"""Outages: nothing is used up by asking again at once, and a job goes on when the service does."""

from __future__ import annotations

import random
import threading
import time
from collections import deque

import pytest

from faulty_lambda import Fault, FaultyLambda, run, times
from lithops_magic.aws.invoke.outcomes import Ambiguous, NoConnection, Outcome, Throttle
from lithops_magic.engine.backend import connection, limiter
from lithops_magic.engine.backend.limiter import Limiter
from lithops_magic.errors import Unreachable as GivenUp

BROKEN = Ambiguous("503")


def outage(begins: float, seconds: float, outcomes: list[Outcome]) -> Fault:
    """From `begins` on, counted from the first invocation, nothing is answered for that long."""
    started: list[float] = []
    lock = threading.Lock()

    def fault(_: list[int]) -> Outcome | None:
        with lock:
            started[:] = started or [time.monotonic()]
            now = time.monotonic() - started[0]
            return random.choice(outcomes) if begins <= now < begins + seconds else None

    return fault


@pytest.mark.parametrize(
    ("outcomes", "seconds"),
    [([BROKEN], 3.0), ([BROKEN, NoConnection("refused")], 1.0), ([Ambiguous("reset"), Throttle("x")], 1.0)],
)
def test_an_outage_fails_no_task_with_the_usual_retries(outcomes: list[Outcome], seconds: float) -> None:
    backend = FaultyLambda(outage(0.05, seconds, outcomes), workers=16)
    result = run(backend, range(400), chunksize=1)
    assert result.error is None
    assert list(result) == [x * 2 for x in range(400)]
    assert max(stats.attempts for stats in result.stats) <= 3


@pytest.mark.parametrize("retries", [1, 2, 5])
def test_the_attempts_of_a_lone_task_outlast_an_outage(retries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "OUTAGE", 2.2)
    result = run(FaultyLambda(outage(0.0, 2.0, [BROKEN])), [21], retries=retries)
    assert list(result) == [42]
    assert result.stats[0].attempts <= retries + 1


def test_without_retries_only_what_was_in_flight_or_a_probe_is_lost() -> None:
    result = run(FaultyLambda(outage(0.0, 1.0, [BROKEN]), workers=8), range(200), retries=0, chunksize=1)
    assert result.error is None
    assert len(result.errors) <= 8 + 8
    assert len(result.succeeded()) + len(result.errors) == 200


def test_single_failures_among_successes_stop_nothing() -> None:
    backend = FaultyLambda(lambda ids: BROKEN if ids[0] % 7 == 3 and not backend.runs[ids[0]] else None, workers=8)
    seen: set[int] = set()

    def once(ids: list[int]) -> Outcome | None:
        if ids[0] % 7 == 3 and ids[0] not in seen:
            seen.add(ids[0])
            return BROKEN
        return None

    backend.fault = once
    result = run(backend, range(210), chunksize=1)
    assert list(result) == [x * 2 for x in range(210)]
    assert result.snapshot().retried == 30


def test_a_service_that_never_answers_ends_the_job_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(connection, "SILENT_TRIES", 2)
    result = run(FaultyLambda(lambda _: BROKEN), range(10_000), chunksize=1)
    assert type(result.error) is GivenUp
    assert "has not answered for" in str(result.error)
    assert "\n" not in str(result.error)


def simulate(slots: int, workers: int, retry_after: float | None, seconds: float) -> tuple[int, int]:
    """Tasks of 50 ms done, and throttles, in some seconds on so many free slots, by a clock of its own."""
    limiter, now, done, refused = Limiter(workers), 1000.0, 0, 0
    flights: deque[float] = deque()
    while now < 1000.0 + seconds:
        while flights and flights[0] <= now:
            flights.popleft()
            limiter.accepted()
            done += 1
        turned_away = 0
        while not limiter.pause(now) and len(flights) + turned_away < limiter.limit:
            if len(flights) < slots:
                flights.append(now + 0.05)
            else:
                turned_away += 1
        limiter.filled(now, len(flights) + turned_away, more=True)
        for _ in range(turned_away):
            refused += 1
            limiter.throttled(now, retry_after, full=True)
        now += 0.01
    return done, refused


@pytest.mark.no_cover
@pytest.mark.parametrize("retry_after", [None, 1.0])
@pytest.mark.parametrize(("slots", "workers"), [(2, 1000), (2, 4), (16, 1000), (900, 1000)])
def test_more_workers_than_slots_cost_no_throughput(slots: int, workers: int, retry_after: float | None) -> None:
    # Many slots are a million tasks a minute.
    seconds = 60 if slots < 100 else 20
    done, refused = simulate(slots, workers, retry_after, seconds)
    most, _ = simulate(slots, slots, retry_after, seconds)
    assert done >= 0.9 * most
    assert refused <= 1000 + seconds * 10


def test_slots_that_become_free_are_used() -> None:
    limiter = Limiter(100)
    limiter.filled(10.0, 100, more=True)
    for _ in range(90):
        limiter.throttled(10.1, 1.0, full=True)
    assert limiter.limit == 10
    for tick in range(600):
        limiter.filled(10.1 + tick / 10, limiter.limit, more=True)
    assert limiter.limit == 100


def test_a_pause_is_no_time_to_grow() -> None:
    limiter = Limiter(100)
    limiter.filled(10.0, 100, more=True)
    limiter.throttled(10.1, 30.0, full=False)
    before = limiter.limit
    limiter.filled(40.2, before, more=True)  # a tenth of a second after the pause
    assert before <= limiter.limit <= before + 4


def test_all_refused_at_once_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "_MAX_FULL", 0.1)  # it is the number of refusals that must not matter
    throttle = Throttle("ConcurrentInvocationLimitExceeded: Rate Exceeded.", retry_after=0.1)
    result = run(FaultyLambda(times(40, throttle), workers=16), range(60), retries=0)
    assert list(result) == [x * 2 for x in range(60)]
