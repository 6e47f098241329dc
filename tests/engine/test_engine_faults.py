"""Faults that no healthy endpoint can be made to show."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from faulty_lambda import FaultyLambda, begin, consistent, died, run, times
from lithops_magic.aws.invoke.outcomes import Ambiguous, NoConnection, Outcome, Refused, Reply, Throttle
from lithops_magic.engine.backend import connection, limiter
from lithops_magic.engine.backend.endpoint import Endpoint
from lithops_magic.errors import (
    DeployError,
    InitFailed,
    InvokeError,
    JobCancelled,
    TaskCrashed,
    TaskLost,
    TaskOutOfMemory,
    TaskTimeout,
    VersionMismatch,
)
from lithops_magic.worker import handler, in_process, job
from waiting import eventually

OTHER = SimpleNamespace(__version__="0.0.1")


def test_a_storm_of_throttles_costs_no_attempt() -> None:
    backend = FaultyLambda(times(30, Throttle("ConcurrentInvocationLimitExceeded: Rate Exceeded.")), workers=16)
    result = run(backend, range(60), retries=0)
    assert list(result) == [x * 2 for x in range(60)]
    assert result.snapshot().throttled == 30
    assert set(backend.runs.values()) == {1}
    assert {stats.attempts for stats in result.stats} == {1}
    assert consistent(result)


def test_retry_after_is_honoured() -> None:
    backend = FaultyLambda(times(1, Throttle("Rate", retry_after=0.25)), workers=1)
    result = run(backend, [1])
    assert result.snapshot().running_seconds >= 0.25


def test_endless_throttles_end_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "PATIENCE", 0.3)
    backend = FaultyLambda(lambda _: Throttle("Reserved", fix="Raise the reserved concurrency."))
    result = run(backend, range(5))
    with pytest.raises(InvokeError, match="Raise the reserved concurrency"):
        result.raise_errors()
    with pytest.raises(JobCancelled, match="ThrottledOut"):
        result[3]
    assert result.snapshot().state == "broken"
    assert consistent(result)


def test_a_throttle_that_will_not_clear_is_given_up_early() -> None:
    result = run(FaultyLambda(lambda _: Throttle("EFSMountTimeoutException", most_tries=2)), [1])
    assert isinstance(result.error, InvokeError)


def test_an_ambiguous_failure_is_tried_again_and_then_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "OUTAGE", 0.1)
    backend = FaultyLambda(lambda ids: Ambiguous("connection reset") if 3 in ids else None)
    result = run(backend, range(8), retries=2)
    assert list(result.succeeded().values()) == [x * 2 for x in range(8) if x != 3]
    error = result.errors[3]
    assert isinstance(error, TaskLost)
    assert "attempt 3 of 3" in str(error)
    assert result.snapshot().retried == 2
    assert result.stats[3].attempts == 3


def test_without_retries_nothing_ambiguous_is_sent_twice() -> None:
    sent: Counter[int] = Counter()

    def fault(ids: list[int]) -> Outcome | None:
        sent.update(ids)
        return Ambiguous("connection reset") if ids[0] % 3 == 0 else None

    result = run(FaultyLambda(fault), range(20), retries=0)
    assert set(sent.values()) == {1}
    assert sorted(result.errors) == list(range(0, 20, 3))


def test_a_refusal_ends_the_job_and_keeps_what_is_done() -> None:
    backend = FaultyLambda(
        lambda ids: Refused("AccessDeniedException", "No.", "Ask.") if ids[0] >= 20 else None, workers=1
    )
    result = run(backend, range(1000), chunksize=1)
    assert isinstance(result.error, InvokeError)
    assert str(result.error) == "AccessDeniedException: No. Ask."
    assert list(result.succeeded().values()) == [x * 2 for x in range(20)]
    assert result.snapshot().cancelled == 980
    assert consistent(result)


def test_a_function_deleted_under_us_is_deployed_again_once() -> None:
    gone = Refused("ResourceNotFoundException", "Function not found.", "")
    backend = FaultyLambda(times(1, gone), workers=1)
    assert list(run(backend, range(10))) == [x * 2 for x in range(10)]
    assert backend.connects == 2
    backend = FaultyLambda(lambda _: gone)
    assert isinstance(run(backend, range(10)).error, InvokeError)
    assert backend.connects == 2


def test_an_endpoint_that_comes_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_UNREACHABLE_PAUSE", 0.05)
    backend = FaultyLambda(times(2, NoConnection("refused")), workers=2)
    assert list(run(backend, range(10), retries=0)) == [x * 2 for x in range(10)]
    assert backend.connects == 1


def test_a_local_aws_that_died_is_started_again() -> None:
    backend = FaultyLambda(times(2, NoConnection("refused")), workers=2, local=True)
    assert list(run(backend, range(10), retries=0)) == [x * 2 for x in range(10)]
    assert backend.connects == 2


def test_an_endpoint_that_stays_away_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREACHABLE_SECONDS", 0.1)
    monkeypatch.setattr(connection, "_UNREACHABLE_PAUSE", 0.05)
    result = run(FaultyLambda(lambda _: NoConnection("no route")), range(10))
    with pytest.raises(InvokeError, match="no route"):
        result.raise_errors()


def test_a_deployment_that_fails_ends_the_job() -> None:
    class Undeployable(FaultyLambda):
        def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:
            raise DeployError("no role", code="X")

    result = run(Undeployable(lambda _: None), range(10))
    with pytest.raises(DeployError):
        result.raise_errors()
    assert result.snapshot().cancelled == 10


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (
            died("Runtime.ExitError", "RequestId: x Error: Runtime exited with error: exit status 1"),
            TaskCrashed,
            "in a script",
        ),
        (died("Runtime.ExitError", "Error: Runtime exited with error: signal: killed"), TaskOutOfMemory, "512 MB"),
        (
            died("Runtime.ExitError", "Error: exited", used=512),
            TaskOutOfMemory,
            "512 of the function's 512 MB; raise it with memory",
        ),
        (died("Runtime.OutOfMemory", "x"), TaskOutOfMemory, "512 MB"),
        (died("Sandbox.Timedout", "RequestId: x Error: Task timed out after 7.00 seconds"), TaskTimeout, "7 s"),
        (died("", "2026-01-01T00:00:00Z x Task timed out after 7.00 seconds"), TaskTimeout, "--timeout"),
        (died("Runtime.ImportModuleError", "Unable to import module"), InitFailed, "Unable to import"),
        (
            Reply(b'{"errorType": "OSError", "requestId": ""}', "Unhandled", "", "id", None),
            InitFailed,
            "could not start",
        ),
        (Reply(b"<html>", "Unhandled", "", "id", None), TaskCrashed, "<html>. The function's log"),
        (Reply(b"<html>", None, "", "id", None), TaskLost, "not the function's own"),
        (
            Reply(b'{"sandbox": "s", "cold": true, "outcomes": []}', None, "", "id", None),
            TaskLost,
            "not the function's",
        ),
    ],
)
def test_a_dead_sandbox_is_named_and_its_neighbours_survive(
    reply: Reply, kind: type, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Replies of others than the function may be an outage, at whose end the last attempt is made.
    monkeypatch.setattr(connection, "OUTAGE", 0.1)
    backend = FaultyLambda(lambda ids: reply if 5 in ids else None)
    result = run(backend, range(12), chunksize=4, retries=1)
    assert list(result.succeeded().values()) == [x * 2 for x in range(12) if x != 5]
    assert type(result.errors[5]) is kind
    assert text in str(result.errors[5])
    assert result.stats[5].attempts == 2
    assert result.stats[5].billed_ms >= (2000 if reply.report else 0)
    assert consistent(result)


def test_without_retries_a_chunk_that_died_is_not_run_again() -> None:
    backend = FaultyLambda(lambda ids: died("Runtime.ExitError", "Error: gone") if 5 in ids else None)
    result = run(backend, range(12), chunksize=4, retries=0)
    assert sorted(result.errors) == [4, 5, 6, 7]
    assert "3 others" in str(result.errors[4])


def test_a_lost_attempt_may_succeed_the_next_time() -> None:
    result = run(FaultyLambda(times(2, died("Runtime.ExitError", "Error: gone")), workers=1), range(5))
    assert list(result) == [x * 2 for x in range(5)]
    assert result.snapshot().retried == 2


@pytest.mark.parametrize(
    ("name", "other", "words"),
    [("_PYTHON", "3.99", r"python 3\.\d+, the function 3\.99"), ("cloudpickle", OTHER, "the function 0.0.1")],
)
def test_a_mismatch_ends_the_job(name: str, other: object, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, name, other)
    backend = FaultyLambda(lambda _: None)
    result = run(backend, range(5))
    with pytest.raises(VersionMismatch, match=f"{words}: they must be the same. If a layer"):
        result.raise_errors()
    assert eventually(lambda: result.snapshot().cancelled == 5)


def test_what_the_worker_refuses_as_a_whole_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (job, in_process):
        monkeypatch.setattr(module, "install_archives", lambda: "The packages are not what was uploaded")
    result = run(FaultyLambda(lambda _: None), range(5))
    with pytest.raises(InvokeError, match="not what was uploaded"):
        result.raise_errors()
    assert type(result.error) is InvokeError


def test_results_that_arrive_after_the_interrupt_are_kept() -> None:
    gate = threading.Event()

    def fault(ids: list[int]) -> Outcome | None:
        if ids[0] >= 4:
            gate.wait(120)
        return None

    backend = FaultyLambda(fault, workers=2)
    result = begin(backend, range(100), chunksize=1)
    while result.snapshot().done < 4 or result.snapshot().running < 2:
        time.sleep(0.01)
    result.cancel()
    s = result.snapshot()
    assert result.done()
    assert (s.state, s.done, s.running, s.cancelled) == ("cancelled", 4, 2, 94)
    future = result.futures[4]
    gate.set()
    assert future.result(30) == 8
    with pytest.raises(JobCancelled):
        result[99]
    with pytest.raises(JobCancelled):
        result.futures[99].result(0)


def test_what_was_in_flight_and_failed_after_the_interrupt_is_not_sent_again() -> None:
    gate: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    backend = FaultyLambda(lambda _: gate.get(), workers=3)
    result = begin(backend, range(10), chunksize=1)
    while result.snapshot().running < 3:
        time.sleep(0.01)
    result.cancel()
    for outcome in (Throttle("slow"), Ambiguous("reset"), died("Runtime.ExitError", "Error: gone")):
        gate.put(outcome)
    while result.snapshot().running:
        time.sleep(0.01)
    assert (result.snapshot().failed, result.snapshot().cancelled) == (2, 8)
    assert consistent(result)


def test_workers_bound_what_is_in_flight() -> None:
    backend = FaultyLambda(lambda _: time.sleep(0.02), workers=3)  # type: ignore[func-returns-value]
    run(backend, range(30), chunksize=1)
    assert backend.most_in_flight == 3


def test_items_are_taken_only_as_needed() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    gate = threading.Event()
    backend = FaultyLambda(lambda _: gate.wait(120) and None, workers=3)  # type: ignore[func-returns-value, return-value]
    result = begin(backend, endless(), chunksize=2)
    while result.snapshot().running < 6:
        time.sleep(0.01)
    time.sleep(0.2)
    assert taken <= 3 * 2 + 2
    result.cancel()
    gate.set()
    assert result.snapshot().total == len(result) <= taken
    assert consistent(result)


def test_a_slow_iterator_does_not_hold_up_results() -> None:
    gate = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        gate.wait(120)
        yield 2

    result = begin(FaultyLambda(lambda _: None), slow())
    assert next(result.as_completed()).result() == 2
    gate.set()
    assert result.wait(120)
    assert list(result) == [2, 4]


def test_an_iterator_that_raises_ends_the_job_and_keeps_what_it_gave() -> None:
    def broken() -> Iterator[int]:
        yield from range(5)
        raise OSError("disk on fire")

    result = run(FaultyLambda(lambda _: None), broken())
    assert list(result) == [0, 2, 4, 6, 8]
    assert result.snapshot().state == "broken"
    with pytest.raises(OSError, match="disk on fire"):
        result.raise_errors()


def test_the_limiter_decreases_once_per_burst_of_haste_and_grows_with_time() -> None:
    one = limiter.Limiter(100)
    for _ in range(50):
        one.throttled(10.0, None, full=False)
    assert one.limit == 70
    assert one.pause(10.0) > 0
    one.filled(20.0, 60, more=True)
    one.filled(20.5, 70, more=False)
    assert one.limit == 70  # what is not used does not grow
    for second in range(21, 25):
        one.filled(second, one.limit, more=True)
    assert one.limit == 100


def test_the_limiter_stays_at_what_aws_took_and_follows_its_scaling_rate() -> None:
    one = limiter.Limiter(10_000)
    assert one.limit == limiter.BURST
    one.filled(10.0, one.limit, more=False)
    for _ in range(100):
        one.throttled(10.1, None, full=True)
    assert one.limit == 900
    assert one.pause(10.1) == 0  # each answer makes room for one
    one.filled(12.0, one.limit, more=False)
    for tenth in range(1, 51):
        one.filled(12.0 + tenth / 10, one.limit, more=True)
    assert one.limit == pytest.approx(900 + 5 * limiter.SCALING, abs=2)
