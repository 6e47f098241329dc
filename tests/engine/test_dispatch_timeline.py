"""What is sent when, and what becomes of it: whole jobs in virtual time, where every moment is known beforehand."""

from __future__ import annotations

import base64
import heapq
import random
from collections.abc import Callable
from typing import Any

import pytest

from lithops_magic.aws.invoke.outcomes import Ambiguous, NoConnection, Refused, Reply, Throttle
from lithops_magic.engine.backend import limiter
from lithops_magic.engine.dispatch import chunk_size, lanes
from lithops_magic.engine.dispatch import scheduler as scheduler_module
from lithops_magic.engine.durable.null_journal import NullJournal
from lithops_magic.engine.job import events as ev
from lithops_magic.errors import (
    BudgetSpent,
    InvokeError,
    ItemError,
    NotAuthorized,
    VersionMismatch,
)
from lithops_magic.errors import Unreachable as Unreached
from virtual_lambda import (
    CRASH,
    Behaviour,
    Ran,
    ScalingLambda,
    Sent,
    VirtualLambda,
    VirtualSource,
    done,
    platform_error,
    prepared,
    ran,
    works,
)

COPY = "gASVCAAAAAAAAACMBGNvcHmULg=="
"""The word "copy" as a value."""
BAD = {"type": "ValueError", "message": "bad", "frames": [], "cause": None}


@pytest.fixture(autouse=True)
def _no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter.random, "uniform", lambda low, high: (low + high) / 2)


def counts(run: Ran) -> dict[str, int]:
    """The numbers of a job that are not 0."""
    snapshot = run.job.snapshot()
    names = ("done", "failed", "cancelled", "retried", "throttled", "backups", "invocations", "running", "in_flight")
    return {name: number for name in names if (number := getattr(snapshot, name))}


# What goes into an invocation, and when


def test_an_answer_makes_room_for_the_next_task() -> None:
    run = ran(VirtualLambda(workers=4), range(10), chunksize=1)
    assert run.values == list(range(10))
    assert run.service.tasks == [[i] for i in range(10)]
    assert run.service.times == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert run.seconds == 3
    assert counts(run) == {"done": 10, "invocations": 10}
    rows = [run.job.stats(i) for i in range(10)]
    assert [(row.sent_s, row.ended_s) for row in rows] == [(sent, sent + 1) for sent in run.service.times]
    assert run.job.snapshot().state == "finished"
    assert run.service.closed


def test_chunks_of_a_size_that_was_asked_for() -> None:
    run = ran(VirtualLambda(workers=2), range(7), chunksize=3)
    assert run.service.tasks == [[0, 1, 2], [3, 4, 5], [6]]
    assert run.service.times == [0, 0, 3]
    assert run.seconds == 4


def test_chunks_grow_with_what_is_known_and_shrink_toward_the_end() -> None:
    run = ran(VirtualLambda(lambda sent: works(sent, 0.01), workers=2), range(200))
    assert [len(tasks) for tasks in run.service.tasks] == [1, 1, 8, 16, 50, 42, 28, 18, 12, 8, 6, 4, 4, 2]
    assert run.service.times == [0, 0, 0.01, 0.01, 0.09, 0.17, 0.59, 0.59, 0.77, 0.87, 0.89, 0.95, 0.95, 0.99]
    assert run.values == list(range(200))


def test_tiny_tasks_get_sandboxes_as_they_prove_worth_it() -> None:
    run = ran(VirtualLambda(lambda sent: works(sent, 0.01), workers=64), range(400))
    assert run.service.times.count(0.0) == 8  # of the 64
    assert run.service.times.count(0.01) == 24  # 8 x 2 ** (0.01 / 0.25) + 2 x 8
    assert run.values == list(range(400))


def test_what_a_first_task_imports_does_not_make_tiny_tasks_worth_a_sandbox_each() -> None:
    free, busy = [f"sandbox {number}" for number in range(1000)], dict[str, float]()

    def imports_first(sent: Sent) -> tuple[float, Any]:
        ready = [name for name, until in busy.items() if until <= sent.at]
        name, first = (ready[0], 0.0) if ready else (free.pop(), 0.15)
        seconds, says = works(sent, 0.0001)
        says["outcomes"][0]["seconds"] += first
        busy[name] = sent.at + first + seconds
        return first + seconds, {**says, "sandbox": name}

    run = ran(VirtualLambda(imports_first, workers=1000), range(10_000))
    assert run.values == list(range(10_000))
    assert len(busy) < 100  # of the 1,000
    assert run.seconds < 1


def test_a_large_job_is_spread_evenly_and_ends_without_a_tail() -> None:
    run = ran(VirtualLambda(lambda sent: works(sent, 0.05), workers=50), range(4000))
    assert run.values == list(range(4000))
    assert run.seconds < 4000 * 0.05 / 50 + 0.5  # of which the start takes most, when nothing is known yet
    assert counts(run)["invocations"] < 1000


def test_processes_of_a_sandbox_share_a_chunk() -> None:
    service = VirtualLambda(lambda sent: (1.0, works(sent)[1]), workers=2)
    run = ran(service, range(16), processes=4)
    assert [len(tasks) for tasks in service.tasks] == [4, 4, 4, 4]
    assert run.seconds == 2


def test_a_request_holds_no_more_than_it_may() -> None:
    service = VirtualLambda(lambda sent: works(sent, value="gAVOLg=="))  # None
    run = ran(service, [random.Random(seed).randbytes(2_500_000) for seed in range(3)], chunksize=3)
    assert service.tasks == [[0], [1], [2]]  # in base64, two of them are more than 6 MiB
    assert run.values == [None, None, None]


def test_only_tasks_of_one_kind_share_an_invocation() -> None:
    service = VirtualLambda(workers=9)
    job, scheduler = prepared(service, range(6), chunksize=3)
    add = job.add

    def sorted_add(item: Any, octets: int) -> Any:
        task = add(item, octets)
        assert task is not None
        task.kind = "odd" if item in (2, 3) else "even"
        return task

    job.add = sorted_add  # type: ignore[assignment, method-assign]
    scheduler.run()
    assert service.tasks == [[0, 1], [2, 3], [4, 5]]


def test_an_item_that_cannot_travel_fails_alone_and_is_not_sent() -> None:
    run = ran(VirtualLambda(workers=2), [0, (i for i in ()), 2], chunksize=1)
    assert run.service.tasks == [[0], [2]]
    assert isinstance(run.job.failed[1], ItemError)
    assert counts(run) == {"done": 2, "failed": 1, "invocations": 2}


def test_an_iterator_that_raises_ends_the_job_after_what_it_gave() -> None:
    class Breaking(list[int]):
        def __iter__(self) -> Any:
            yield from (0, 1)
            raise RuntimeError("no more")

    run = ran(VirtualLambda(workers=2), Breaking([0, 1, 2]), chunksize=1)
    assert str(run.job.error) == "no more"
    assert (run.values, run.job.snapshot().state) == ([0, 1], "broken")


# Answers that bring no value


def spoils(task: int, seconds: float, outcome: Any) -> Behaviour:
    """Every invocation with that task has this outcome."""
    return lambda sent: (seconds, outcome) if task in sent.tasks else works(sent)


def says(task: int, status: str, **more: Any) -> Behaviour:
    """The worker says that of one task, and that the others are done."""
    told = {"id": task, "status": status, "started": 0.0, "seconds": 1.0, "log": "said\n", **more}

    def behave(sent: Sent) -> tuple[float, dict[str, Any]]:
        seconds, reply = works(sent)
        reply["outcomes"] = [told if outcome["id"] == task else outcome for outcome in reply["outcomes"]]
        return seconds, reply

    return behave


def test_after_a_crash_each_task_travels_alone_and_the_culprit_fails() -> None:
    run = ran(VirtualLambda(spoils(3, 2.0, CRASH), workers=2), range(6), chunksize=3)
    assert list(zip(run.service.times, run.service.tasks, strict=True)) == [
        (0, [0, 1, 2]),
        (0, [3, 4, 5]),
        (2, [5]),
        (3, [4]),
        (3, [3]),
        (5, [3]),
        (7, [3]),
    ]
    assert run.errors[3].startswith("Task 3 (3): its process exited with status 1.")
    assert run.errors[3].endswith("(attempt 3 of 3)")
    assert counts(run) == {"done": 5, "failed": 1, "retried": 2 + 2 - 2, "invocations": 7}


def test_without_retries_every_task_travels_alone_and_once() -> None:
    run = ran(VirtualLambda(spoils(3, 2.0, CRASH), workers=2), range(6), retries=0)
    assert sorted(run.service.tasks) == [[i] for i in range(6)]
    assert "attempt" not in run.errors[3]
    assert counts(run) == {"done": 5, "failed": 1, "invocations": 6}


@pytest.mark.parametrize(
    ("status", "more", "sent", "message"),
    [
        ("died", {"code": 3}, [1, 1], "its process exited with status 3. "),
        ("died", {"code": -9}, [1, 1], "its process was killed by signal 9 (Killed). "),
        ("store", {"reason": "S3 said no"}, [1, 1], "S3 said no (attempt 3 of 3)"),
        ("dropped", {"reason": "why"}, [1, 1, 1], "its result did not fit in the reply with the others of its chunk"),
        ("timeout", {"error": BAD}, [1, 1, 1], "it ran longer than the function's 7 s; raise it with timeout"),
        ("unpicklable", {"of": "generator", "reason": "no"}, [], "its result, a generator, cannot be pickled: no; "),
        ("too_large", {"size": 7_000_000}, [], "its result takes 7,000,000 bytes, but AWS allows about 6,291,000"),
        ("tampered", {"reason": "altered"}, [], "altered"),
        ("error", {"error": BAD}, [], "ValueError: bad"),
    ],
)
def test_what_a_worker_says_of_a_task_costs_no_other_task(
    status: str, more: dict[str, Any], sent: list[int], message: str
) -> None:
    run = ran(VirtualLambda(says(1, status, **more), workers=2), range(4), chunksize=2)
    assert run.service.tasks == [[0, 1], [2, 3], *([task] for task in sent)]
    assert run.errors[1].startswith(f"Task 1 (1): {message}")
    assert run.values == [0, None, 2, 3]
    assert run.job.logs() == ({} if status in ("store", "tampered") else {1: "said\n"})
    # What is disturbed by its neighbours is sent again at no charge, once.
    retried = min(2, len(sent))
    assert counts(run) == {
        "done": 3,
        "failed": 1,
        "invocations": 2 + len(sent),
        **({"retried": retried} if retried else {}),
    }


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (CRASH, "its process exited with status 1. "),
        (platform_error("Sandbox.Timedout", "x"), "it ran longer than the function's 7 s; "),
        (platform_error("Runtime.OutOfMemory", "x", 512), "it used up 512 of the function's 512 MB; "),
    ],
)
def test_without_retries_a_lost_chunk_names_its_size_and_reason_for_each_task(outcome: Any, reason: str) -> None:
    run = ran(VirtualLambda(spoils(1, 1.0, outcome), workers=2), range(4), chunksize=3, retries=0)
    assert (run.service.tasks, run.errors.keys()) == ([[0, 1, 2], [3]], {0, 1, 2})
    for index, error in run.errors.items():
        assert error.startswith(f"Task {index} ({index}): the invocation it shared with 2 others was lost: {reason}")


def test_a_value_whose_module_is_not_here_says_which_and_keeps_its_output() -> None:
    value = base64.b64encode(b"cnowhere.sub\nX\n.").decode()
    run = ran(VirtualLambda(says(1, "ok", value=value), workers=2), range(2), chunksize=1)
    assert run.errors[1].startswith(
        "Task 1 (1): its result cannot be unpickled here: ModuleNotFoundError: No module named 'nowhere'"
    )
    assert "; install nowhere here, or return plain data made from it" in run.errors[1]
    assert (run.job.logs(), len(run.service.sent)) == ({1: "said\n"}, 2)


@pytest.mark.parametrize("status", ["dropped", "timeout"])
def test_without_retries_what_is_disturbed_has_failed(status: str) -> None:
    service = VirtualLambda(says(1, status, error=BAD), workers=2)
    run = ran(service, range(4), chunksize=2, retries=0)
    assert service.tasks == [[0, 1], [2, 3]]
    assert set(run.errors) == {1}


def test_with_a_retry_tasks_share_invocations_again() -> None:
    run = ran(VirtualLambda(lambda sent: works(sent, 0.001), workers=1), range(20), retries=1)
    assert [len(tasks) for tasks in run.service.tasks] == [1, 8, 11]


def test_exceptions_are_tried_again_only_where_that_was_asked_for() -> None:
    run = ran(VirtualLambda(says(1, "error", error=BAD), workers=2), range(4), chunksize=2, retry_errors=True)
    assert run.service.tasks == [[0, 1], [2, 3], [1], [1]]
    assert run.errors == {1: "Task 1 (1): ValueError: bad (attempt 3 of 3)"}


def test_what_was_not_run_is_sent_again_at_no_charge() -> None:
    service = VirtualLambda(lambda sent: (1.0, {"outcomes": [done(sent, sent.tasks[0])]}), workers=2)
    run = ran(service, range(4), chunksize=2)
    assert service.tasks == [[0, 1], [2, 3], [1], [3]]
    assert counts(run) == {"done": 4, "invocations": 4}
    assert [run.job.stats(i).attempts for i in range(4)] == [1, 1, 1, 1]


@pytest.mark.parametrize(("mismatch", "kind"), [(False, InvokeError), (True, VersionMismatch)])
def test_a_worker_that_cannot_begin_ends_the_job(mismatch: bool, kind: type[InvokeError]) -> None:
    reply = {"outcomes": [], "error": "cannot begin", "mismatch": mismatch}
    run = ran(VirtualLambda(lambda _: (1.0, reply), workers=2), range(9), chunksize=1)
    assert (type(run.job.error), str(run.job.error)) == (kind, "cannot begin")
    assert run.service.tasks == [[0], [1]]
    assert counts(run) == {"cancelled": 9, "invocations": 2}


def test_what_tasks_leave_running_is_said_once() -> None:
    run = ran(VirtualLambda(lambda sent: works(sent, left=["thread a", "b"])), range(9), chunksize=1)
    (note,) = run.job.snapshot().notes
    assert note.startswith("tasks left this running: thread a, b. ")


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (
            Reply(b"{}", None, "", "id", None),
            "its reply was lost, and it may have run: the reply is not the function's",
        ),
        (
            {"outcomes": [{"id": "x"}]},
            "its reply was lost, and it may have run: the function's reply cannot be read: ",
        ),
        (Ambiguous("reset"), "the connection broke, and it may have run: reset"),
    ],
)
def test_an_answer_that_cannot_be_used_is_a_lost_attempt(outcome: Any, message: str) -> None:
    run = ran(VirtualLambda(spoils(1, 1.0, outcome), workers=2), range(3), chunksize=1, retries=1)
    assert run.errors[1].startswith(f"Task 1 (1): {message}")
    assert run.errors[1].endswith("(attempt 2 of 2)")
    assert run.values == [0, None, 2]


def test_attempts_of_a_task_are_spread_over_an_outage() -> None:
    run = ran(VirtualLambda(lambda _: (0.1, Ambiguous("reset")), workers=2), range(3), chunksize=1)
    # After one lost attempt of two: 11 s / 4; after both: 11 s; and meanwhile one invocation at a time.
    assert run.service.times == [0, 0, 0.1, 2.85, 3.15, 3.65, 11.1, 12.8, 15.9]
    assert run.service.tasks == [[0], [1], [2]] * 3
    assert counts(run) == {"failed": 3, "retried": 6}


def test_replies_to_what_was_sent_before_an_outage_do_not_end_it() -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        if not sent.at:
            return works(sent, 0.5 + sent.tasks[0] / 10)
        return (0.05, Ambiguous("reset")) if sent.at < 5 else works(sent)

    run = ran(VirtualLambda(behave, workers=50), range(90), chunksize=1)
    assert counts(run) == {"done": 90, "retried": len(run.service.sent) - 90, "invocations": 90}
    assert max(run.job.stats(i).attempts for i in range(90)) <= 3


def test_whoever_has_lost_nothing_goes_first_in_an_outage() -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        return (1.0, Ambiguous("reset")) if sent.tasks == [1] and sent.runs[0] < 2 else works(sent)

    run = ran(VirtualLambda(behave, workers=1), range(4), chunksize=1)
    assert run.service.tasks == [[0], [1], [2], [1], [3], [1]]
    assert counts(run) == {"done": 4, "retried": 2, "invocations": 4}


def test_refusals_cost_no_attempt_and_keep_the_order() -> None:
    service = VirtualLambda(workers=4)
    busy = [0]

    def full(sent: Sent) -> tuple[float, Any]:
        if busy[0] >= 2:
            return 0.01, Throttle("ConcurrentInvocationLimitExceeded: Rate Exceeded.")
        busy[0] += 1
        service.clock.later(0.999, lambda: busy.__setitem__(0, busy[0] - 1))
        return works(sent)

    service.behaviour = full
    run = ran(service, range(8), chunksize=1)
    assert (run.values, run.seconds) == (list(range(8)), 4)
    assert counts(run) == {"done": 8, "throttled": 6, "invocations": 8}
    assert [run.job.stats(i).attempts for i in range(8)] == [1] * 8
    assert service.times == [0, 0, 0, 0, 0.715, 1, 1, 1.405, 2, 2, 2.105, 2.82, 3, 3]


def test_an_address_that_is_not_reached_is_tried_for_twenty_seconds() -> None:
    run = ran(VirtualLambda(lambda _: (0.1, NoConnection("no route")), workers=2), range(3), chunksize=1)
    assert (type(run.job.error), run.seconds) == (Unreached, 24.4)
    assert run.service.times == [0, 0, 0.6, 1.2, 1.8, 2.7, 4.4, 7.7, 14.2, 24.3]
    assert counts(run) == {"cancelled": 3}


def test_an_address_that_comes_back_costs_nothing() -> None:
    def away(sent: Sent) -> tuple[float, Any]:
        return (0.1, NoConnection("no route")) if sent.at < 5 else works(sent)

    run = ran(VirtualLambda(away, workers=2), range(3), chunksize=1)
    assert (run.values, counts(run)) == ([0, 1, 2], {"done": 3, "invocations": 3})


def test_a_refusal_for_good_ends_the_job_and_what_is_in_flight_is_kept() -> None:
    refused = Refused("AccessDeniedException", "no", "Ask.")
    run = ran(VirtualLambda(spoils(2, 0.1, refused), workers=2), range(6), chunksize=1)
    assert (type(run.job.error), str(run.job.error)) == (NotAuthorized, "AccessDeniedException: no Ask.")
    assert run.service.tasks == [[0], [1], [2], [3]]
    assert counts(run) == {"done": 3, "cancelled": 3, "invocations": 3}
    assert run.seconds == 2


def test_an_invocation_of_which_nothing_is_heard_is_given_up() -> None:
    def silent(sent: Sent) -> tuple[float, Any]:
        return (0, None) if sent.tasks == [1] and not sent.runs[0] else works(sent)

    run = ran(VirtualLambda(silent, workers=2, patience=12.0), range(3), chunksize=1)
    assert (run.values, counts(run)) == ([0, 1, 2], {"done": 3, "retried": 1, "invocations": 3})
    # Looked at every 5 s: at 17; its second attempt rests until 11 s / 4 after that.
    assert run.service.times == [0, 0, 1, 19.75]
    once = ran(VirtualLambda(silent, workers=2, patience=12.4), range(3), chunksize=1, retries=0)
    assert once.errors == {1: "Task 1 (1): the connection broke, and it may have run: there was no reply within 12 s"}


def test_an_answer_that_comes_after_it_was_given_up_counts_for_nothing() -> None:
    def late(sent: Sent) -> tuple[float, Any]:
        return (18.0, works(sent)[1]) if sent.tasks == [1] and not sent.runs[0] else works(sent)

    run = ran(VirtualLambda(late, workers=2, patience=12.0), range(3), chunksize=1)
    assert counts(run) == {"done": 3, "retried": 1, "invocations": 3}


# The beginning


def phases_of(service: VirtualLambda, items: Any, **options: Any) -> tuple[list[str], list[ev.Event]]:
    """What a job says it is doing, and all of its events."""
    job, scheduler = prepared(service, items, **options)
    publish, heard = job.publish, list[ev.Event]()

    def listen(event: ev.Event) -> None:
        heard.append(event)
        publish(event)

    job.publish = listen  # type: ignore[method-assign]
    scheduler.run()
    return [event.text for event in heard if isinstance(event, ev.Phase)], heard


def test_a_job_says_what_it_is_doing_until_it_sends() -> None:
    phases, events = phases_of(VirtualLambda(workers=2, notes=("a note", "another")), range(2), chunksize=1)
    assert phases == ["connecting", "", ""]
    kinds = [type(event).__name__ for event in events if not isinstance(event, ev.Phase)]
    assert kinds[:4] == ["Noted", "Noted", "Started", "Submitted"]
    assert ev.Started(100.0, 512, False) in events
    assert [event.text for event in events if isinstance(event, ev.Noted)] == ["a note", "another"]
    # What is in flight is told when it changes.
    assert [event.invocations for event in events if isinstance(event, ev.InFlight)] == [2, 1, 0]


def test_an_iterator_s_first_item_is_waited_for_before_anything_is_deployed() -> None:
    service = VirtualLambda(workers=2)
    phases, _ = phases_of(service, iter(range(2)), chunksize=1)
    assert phases[:2] == ["Waiting for the first item", "connecting"]
    assert service.tasks == [[0], [1]]


@pytest.mark.parametrize(
    ("chunksize", "item_seconds", "requests", "times"),
    [
        # Four, before it is known how many can be sent; then one more than there is room for.
        (1, 0.0, [(0, 4), (1, 1), (1, 1), (1, 1), (2, 1), (2, 1)], [0, 0, 0, 1, 1, 1, 2, 2]),
        (1, 0.5, [(0, 4), (1.5, 1), (1.5, 1), (2, 1), (2.5, 1), (3, 1), (3.5, 2)], [0.5, 0.5, 0.5, 1.5, 2, 2, 2.5, 3]),
        # Three chunks of three and another one, of which four are here.
        (3, 0.0, [(0, 4), (0, 8)], [0, 0, 0]),
        # A chunk of four is full at once; the others when their items are there.
        (4, 0.001, [(0, 4), (0.001, 12)], [0.001, 0.002]),
    ],
)
def test_of_an_iterator_no_more_items_are_asked_for_than_can_be_sent_soon(
    chunksize: int, item_seconds: float, requests: list[tuple[float, int]], times: list[float]
) -> None:
    service = VirtualLambda(workers=3)
    service.item_seconds = item_seconds
    job, scheduler = prepared(service, iter(range(8)), chunksize=chunksize)
    scheduler.run()
    assert job.ledger.values == list(range(8))
    assert job.snapshot().total == 8
    assert isinstance(scheduler._source, VirtualSource)
    assert (scheduler._source.requests, service.times) == (requests, times)


def test_an_iterator_is_asked_for_a_whole_chunk_at_once_and_a_collection_for_portions() -> None:
    service = VirtualLambda(lambda sent: works(sent, 0.001), workers=1)
    job, scheduler = prepared(service, iter(range(900)), chunksize=300)
    scheduler.run()
    assert isinstance(scheduler._source, VirtualSource)
    assert scheduler._source.requests[:2] == [(0, 4), (0, 600 - 4)]
    assert [len(tasks) for tasks in service.tasks] == [300, 300, 300]
    assert job.ledger.values == list(range(900))


def taken_when_sent(items: Any, workers: int, **options: Any) -> list[int]:
    """How many items had been taken when the invocations of each moment were sent."""
    taken: dict[float, int] = {}

    def behave(sent: Sent) -> tuple[float, Any]:
        taken[sent.at] = len(job.ledger)
        return works(sent, value="gAVOLg==")  # None

    job, scheduler = prepared(VirtualLambda(behave, workers=workers), items, chunksize=1, **options)
    scheduler.run()
    assert job.snapshot().done == len(job.ledger)
    return list(taken.values())


def test_items_are_taken_ahead_while_there_is_nothing_to_do() -> None:
    taken = taken_when_sent(range(3000), 100)
    assert taken[0] == 101  # the first invocations do not wait for it
    assert taken[1] == 1501  # in portions of 200, up to 16 for each sandbox
    assert taken[-1] == 3000


@pytest.mark.parametrize(
    ("items", "options"),
    [
        ([random.Random(1).randbytes(50_000)] * 500, {}),  # they would take memory
        (iter(range(500)), {}),  # it may wait for what its caller does with the values
        (range(500), {"cache": True}),
    ],
)
def test_what_is_large_or_may_change_is_taken_when_it_can_be_sent(items: Any, options: dict[str, Any]) -> None:
    assert taken_when_sent(items, 100, **options) == [101, 201, 301, 401, 500]


def test_few_sandboxes_are_not_worth_taking_items_ahead() -> None:
    assert taken_when_sent(range(12), 4) == [4, 9, 12]


@pytest.mark.parametrize(("bursts", "sizes"), [(False, [1, 3, 8 * 4, 24]), (True, [1, 3, 1, 8 * 1, 47])])
def test_after_a_pause_chunks_grow_on_unless_the_next_tasks_may_be_others(bursts: bool, sizes: list[int]) -> None:
    service = VirtualLambda(lambda sent: works(sent, 0.001), workers=1)
    service.item_seconds = 60.0
    job, scheduler = prepared(service, iter(range(60)))
    job.bursts = bursts
    scheduler.run()
    assert job.ledger.values == list(range(60))
    assert [len(tasks) for tasks in service.tasks] == sizes


def test_chunks_that_are_sent_together_count_each_other() -> None:
    """Two thirds of a worker's share of what remains, each time."""
    service = VirtualLambda(lambda sent: works(sent, 0.03), workers=2)
    service.item_seconds = 60.0
    run = ran(service, iter(range(60)))
    assert run.values == list(range(60))
    sent = list(zip(service.times, map(len, service.tasks), strict=True))
    # Of 24 for two workers, 12 / 1.5; then of 16, 8 / 1.5.
    assert sent[5:7] == [(180.51, 8), (180.51, 6)]


def test_what_is_known_of_one_kind_of_task_says_nothing_of_another() -> None:
    service = VirtualLambda(lambda sent: works(sent, 0.001), workers=1)
    job, scheduler = prepared(service, range(40))
    add = job.add

    def sorted_add(item: Any, octets: int) -> Any:
        task = add(item, octets)
        assert task is not None
        task.kind = "early" if item < 9 else "late"
        return task

    job.add = sorted_add  # type: ignore[assignment, method-assign]
    scheduler.run()
    assert [len(tasks) for tasks in service.tasks][:4] == [1, 8, 1, 8]


def test_the_more_is_in_flight_the_longer_replies_are_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    service = VirtualLambda(workers=40)
    slept: list[float] = []
    sleep = service.clock.sleep
    monkeypatch.setattr(service.clock, "sleep", lambda seconds: slept.append(seconds) or sleep(seconds))  # type: ignore[func-returns-value]
    run = ran(service, range(80), chunksize=1)
    assert run.values == list(range(80))
    assert slept
    assert {round(seconds * 1e5, 3) for seconds in slept} <= {float(crowd) for crowd in range(33, 41)}


def test_a_job_has_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    class Thread:
        def __init__(self, **options: Any) -> None:
            made.append(options)

        def start(self) -> None:
            made.append({})

    monkeypatch.setattr(scheduler_module.threading, "Thread", Thread)
    _, scheduler = prepared(VirtualLambda(), range(1))
    scheduler.start()
    assert made == [{"target": scheduler.run, "name": "lithops-magic-job", "daemon": True}, {}]


def test_tasks_do_not_wait_long_for_a_chunk_to_fill_up() -> None:
    """Longer than a chunk may be held back, an iterator's items are sent as they come."""
    service = VirtualLambda(lambda sent: works(sent, 0.05), workers=3)
    service.item_seconds = 1.0
    run = ran(service, iter(range(6)), chunksize=4)
    assert (service.tasks, service.times) == ([[0, 1, 2, 3], [4, 5]], [1, 2])
    assert run.values == list(range(6))


def test_an_iterator_that_raises_at_once_ends_the_job_before_anything_is_deployed() -> None:
    def breaking() -> Any:
        raise LookupError("no first")
        yield

    service = VirtualLambda(workers=2)
    run = ran(service, breaking())
    assert (str(run.job.error), run.job.snapshot().state, service.connects) == ("no first", "broken", [])


# More memory, copies, money, the end


class AtOnce:
    """A thread that runs when it is started."""

    def __init__(self, target: Callable[..., object], args: tuple[Any, ...], name: str, daemon: bool) -> None:
        assert (name, daemon) == ("lithops-magic-deploy", True)
        self._run = lambda: target(*args)

    def start(self) -> None:
        self._run()


OUT_OF_MEMORY = platform_error("Runtime.OutOfMemory", "killed", 512)


def test_a_task_that_ran_out_of_memory_gets_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes.threading, "Thread", AtOnce)
    service = VirtualLambda(spoils(1, 1.0, OUT_OF_MEMORY), workers=3)
    service.more = larger = VirtualLambda(workers=3)
    larger.clock = service.clock
    run = ran(service, range(4), chunksize=1, retry_memory=2)
    assert (service.tasks, larger.tasks, larger.times) == ([[0], [1], [2], [3]], [[1]], [1])
    assert (run.values, counts(run)) == ([0, 1, 2, 3], {"done": 4, "retried": 1, "invocations": 5})
    assert (service.closed, larger.closed) == (True, True)


def test_two_functions_share_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes.threading, "Thread", AtOnce)

    def greedy(sent: Sent) -> tuple[float, Any]:
        return (1.0, OUT_OF_MEMORY) if sent.tasks[0] % 2 else works(sent)

    service = VirtualLambda(greedy, workers=4)
    service.more = larger = VirtualLambda(workers=4)
    larger.clock = service.clock
    run = ran(service, range(12), chunksize=1, retry_memory=2)
    assert run.values == list(range(12))
    begun = [*service.times, *larger.times]
    assert max(sum(at <= moment < at + 1 for at in begun) for moment in begun) == 4
    assert run.seconds == 5  # 18 invocations of a second each
    assert larger.connects == [False]  # one for all of them


def test_where_there_is_no_more_memory_it_is_tried_again_with_what_there_is() -> None:
    run = ran(VirtualLambda(spoils(1, 1.0, OUT_OF_MEMORY), workers=3), range(4), chunksize=1, retry_memory=2)
    assert run.service.tasks == [[0], [1], [2], [3], [1], [1]]
    assert run.errors[1].startswith("Task 1 (1): it used up 512 of the function's 512 MB; raise it with memory")


def slow_once(sent: Sent) -> tuple[float, dict[str, Any]]:
    return works(sent, 20.0 if sent.tasks == [7] and not sent.runs[0] else 1.0)


def test_a_copy_overtakes_a_straggler() -> None:
    run = ran(VirtualLambda(slow_once, workers=4), range(8), chunksize=1, backups=True)
    assert (run.service.tasks[-1], run.service.times[-1], run.seconds) == ([7], 4.25, 5.25)
    assert (run.values, counts(run)) == (list(range(8)), {"done": 8, "backups": 1, "invocations": 8, "in_flight": 1})
    assert run.job.snapshot().notes == ("1 invocation overtaken by a copy may still be running, and billed",)


def test_a_copy_is_not_copied_again() -> None:
    def behave(sent: Sent) -> tuple[float, dict[str, Any]]:
        return works(sent, 20.0 if sent.tasks == [7] else 1.0)

    run = ran(VirtualLambda(behave, workers=4), range(8), chunksize=1, backups=True)
    assert (len(run.service.sent), run.seconds, counts(run)["backups"]) == (9, 21, 1)


@pytest.mark.parametrize(("slow", "at"), [(2, 3.25), (3, 20)])
def test_copies_are_sent_once_three_quarters_have_ended(slow: int, at: float) -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        if sent.tasks == [0]:
            return 1.0, CRASH  # what has failed has ended as well
        return works(sent, 20.0 if sent.tasks[0] >= 8 - slow and not sent.runs[0] else 1.0)

    run = ran(VirtualLambda(behave, workers=8), range(8), chunksize=1, backups=True, retries=0)
    assert run.service.times[8:] == [at, at]  # of three, the first one has to end before


def test_there_are_no_copies_without_room() -> None:
    def behave(sent: Sent) -> tuple[float, dict[str, Any]]:
        return works(sent, 20.0 if sent.tasks[0] >= 6 and not sent.runs[0] else 1.0)

    run = ran(VirtualLambda(behave, workers=2), range(8), chunksize=1, backups=True)
    assert (run.seconds, min(run.service.times[8:])) == (23, 23)  # when the first of the two has ended


TASKS = 6000
DURATIONS = [random.Random(index).lognormvariate(-0.69, 0.6) for index in range(TASKS)]  # 0.6 s on average
SLOW = frozenset(range(500, TASKS, 1000))
"""Tasks that take 5.4 s longer the first time."""


def in_order(functions: int) -> float:
    """The makespan of a scheduler that knows no duration, copies nothing, and has a client that needs no time."""
    free = [max(0.0, (k + 1) / functions - 10) for k in range(100)]
    ended = 0.0
    for index, seconds in enumerate(DURATIONS):
        end = free[0] + seconds + 5.4 * (index in SLOW)
        heapq.heapreplace(free, end)
        ended = max(ended, end)
    return ended


def test_with_several_functions_a_busy_client_keeps_all_sandboxes_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of an account with 10,000 sandboxes, and of what one client can send in a second."""
    for module, name in ((limiter, "BURST"), (limiter, "SCALING"), (chunk_size, "RATE"), (chunk_size, "LATE_RATE")):
        monkeypatch.setattr(module, name, getattr(module, name) // 100)

    def behave(sent: Sent) -> tuple[float, dict[str, Any]]:
        times = [DURATIONS[task] + 5.4 * (task in SLOW and not sent.runs[0]) for task in sent.tasks]
        told = [done(sent, task, seconds) for task, seconds in zip(sent.tasks, times, strict=True)]
        return sum(times), {"outcomes": told}

    runs = {}
    for functions in (1, 10):
        service = ScalingLambda(behave, workers=100, functions=functions, burst=10, refill=1.0, client=(0.025, 0.002))
        runs[functions] = ran(service, range(TASKS), backups=True)
        assert runs[functions].values == list(range(TASKS))
        assert counts(runs[functions])["backups"] >= 10
    # Without copies, and with chunks that the client cannot send in time, it takes 1.22 times as long as in order.
    assert runs[10].seconds < 1.2 * in_order(10)
    assert runs[1].seconds < 1.04 * in_order(1)
    assert runs[10].seconds < 0.6 * runs[1].seconds


def test_where_the_function_with_more_memory_cannot_be_had_the_job_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes.threading, "Thread", AtOnce)
    service = VirtualLambda(spoils(1, 1.0, OUT_OF_MEMORY), workers=3)
    service.more = larger = VirtualLambda(workers=3)
    larger.connect = lambda *_, **__: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    run = ran(service, range(4), chunksize=1, retry_memory=2)
    assert str(run.job.error) == ("The function with more memory (retry_memory) cannot be deployed: division by zero")


def test_memory_is_not_enlarged_unless_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes.threading, "Thread", AtOnce)
    service = VirtualLambda(spoils(1, 1.0, OUT_OF_MEMORY), workers=3)
    service.more = VirtualLambda(workers=3)
    run = ran(service, range(4), chunksize=1)
    assert (service.more.tasks, len(service.sent), set(run.errors)) == ([], 6, {1})


def test_packages_that_differ_are_told_where_a_task_fails() -> None:
    differences = ("numpy here 2, there 1", "pandas here 3, there 2")
    service = VirtualLambda(says(1, "error", error=BAD), workers=2, differences=differences)
    run = ran(service, range(4), chunksize=2)
    assert run.errors[1] == (
        "Task 1 (1): ValueError: bad (the packages differ: numpy here 2, there 1; pandas here 3, there 2; "
        "to have the same on both sides, install those versions where the notebook runs)"
    )


def test_the_oldest_invocation_is_the_one_that_was_sent_first() -> None:
    seen: list[float | None] = []

    class Looking(Spy):
        def start(self, place: Any, oldest: Callable[[], float | None] = lambda: None) -> None:
            self.oldest = oldest

        def answered(self, tasks: Any, outcome: Any) -> None:
            seen.append(self.oldest())

    service = VirtualLambda(lambda sent: works(sent, 1.5 if sent.tasks == [0] else 1.0), workers=2)
    _, scheduler = prepared(service, range(3), chunksize=1, journal=Looking())
    scheduler.run()
    assert seen == [100, 101, None]  # 1 is answered at 101, 0 at 101.5, 2 at 102


def test_without_backups_a_straggler_is_waited_for() -> None:
    run = ran(VirtualLambda(slow_once, workers=4), range(8), chunksize=1)
    assert (len(run.service.sent), run.seconds, run.job.snapshot().notes) == (8, 21, ())


def test_a_copy_that_is_lost_costs_no_attempt() -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        return (0.5, CRASH) if sent.tasks == [7] and sent.runs[0] else slow_once(sent)

    run = ran(VirtualLambda(behave, workers=4), range(8), chunksize=1, backups=True)
    assert (run.values, run.seconds) == (list(range(8)), 21)
    assert counts(run) == {"done": 8, "backups": 2, "invocations": 10}  # whose second copy is the last


@pytest.mark.parametrize("outcome", [Ambiguous("reset"), Throttle("slow down"), NoConnection("no route")])
def test_a_copy_that_is_lost_or_refused_is_no_news_of_its_task(outcome: Any) -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        return (0.5, outcome) if sent.tasks == [7] and sent.runs[0] else slow_once(sent)

    run = ran(VirtualLambda(behave, workers=4), range(8), chunksize=1, backups=True)
    assert (run.values, run.seconds, run.job.stats(7).attempts) == (list(range(8)), 21, 1)
    assert {"done": 8, "backups": 2, "invocations": 8}.items() <= counts(run).items()
    assert not {"failed", "retried", "running", "in_flight"} & counts(run).keys()


@pytest.mark.parametrize("outcome", [Ambiguous("reset"), Throttle("slow down"), CRASH])
def test_a_straggler_that_is_lost_after_its_copy_ended_is_no_news(outcome: Any) -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        if sent.tasks == [6]:
            return works(sent, 12.0)
        return (8.0, outcome) if sent.tasks == [7] and not sent.runs[0] else works(sent)

    run = ran(VirtualLambda(behave, workers=4), range(8), chunksize=1, backups=True)
    assert (run.values, run.service.tasks.count([7])) == (list(range(8)), 2)
    assert not {"failed", "retried", "running"} & counts(run).keys()


def test_a_lost_copy_is_followed_by_another() -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        return (0.5, CRASH) if sent.tasks == [7] and sent.runs == [1] else slow_once(sent)

    run = ran(VirtualLambda(behave, workers=4), range(8), chunksize=1, backups=True)
    assert [at for at, tasks in zip(run.service.times, run.service.tasks, strict=True) if tasks == [7]] == [
        1,
        4.25,
        4.75,
    ]
    assert (run.values, run.seconds) == (list(range(8)), 5.75)


def test_the_tasks_of_a_straggling_chunk_are_copied_side_by_side_where_there_is_room() -> None:
    def behave(sent: Sent) -> tuple[float, dict[str, Any]]:
        return works(sent, 9.0 if sent.tasks == [9, 10, 11] and not sent.runs[0] else 1.0)

    roomy = ran(VirtualLambda(behave, workers=4), range(12), chunksize=3, backups=True)
    assert roomy.service.tasks[4:] == [[9], [10], [11]]
    assert (roomy.values, roomy.seconds, counts(roomy)["backups"]) == (list(range(12)), 7.5, 3)
    narrow = ran(VirtualLambda(behave, workers=2), range(12), chunksize=3, backups=True)
    assert narrow.service.tasks[4:] == [[9, 10, 11]]
    assert (narrow.values, narrow.seconds) == (list(range(12)), 12.5)


def test_nothing_is_sent_that_cannot_be_paid_for() -> None:
    # A second costs $0.001, and so does a request.
    run = ran(VirtualLambda(workers=2), range(30), chunksize=1, max_cost=0.02)
    assert isinstance(run.job.error, BudgetSpent)
    assert (run.seconds, counts(run)) == (5, {"done": 10, "cancelled": 20, "invocations": 10})


def test_last_tasks_that_cost_more_than_expected_are_no_error() -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        return works(sent, (1.0, 5.0, 6.0)[sent.tasks[0]])

    # One tells what a task costs, $0.002. Two more are affordable then; when one of them has ended, nothing is left.
    run = ran(VirtualLambda(behave, workers=2), range(3), chunksize=1, max_cost=0.007)
    assert run.service.times == [0, 1, 1]
    assert (run.values, run.job.error, run.job.snapshot().state) == ([0, 1, 2], None, "finished")
    assert run.job.snapshot().spent == pytest.approx(0.015)


def test_with_enough_money_all_is_sent() -> None:
    run = ran(VirtualLambda(workers=2), range(10), chunksize=1, max_cost=0.1)
    assert counts(run) == {"done": 10, "invocations": 10}


def test_the_tasks_of_a_chunk_that_is_lost_share_its_bill() -> None:
    run = ran(VirtualLambda(spoils(1, 2.0, CRASH), workers=2), range(6), chunksize=3)
    billed = [run.job.stats(i).billed_ms for i in range(6)]
    # CRASH is billed as a second, which three tasks share; then each has one of its own, and the culprit three.
    assert billed == pytest.approx([1000 / 3 + 1000, 1000 / 3 + 3000, 1000 / 3 + 1000, 1000, 1000, 1000])
    assert sum(billed) == pytest.approx(run.job.snapshot().billed_ms)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_every_task_ends_and_every_invocation_is_paid_for_by_its_tasks(seed: int) -> None:
    chance = random.Random(seed)
    costs = 0.0

    def behave(sent: Sent) -> tuple[float, Any]:
        nonlocal costs
        seconds = chance.uniform(0.1, 3.0)
        match chance.choices(("works", "crash", "throttle", "away", "part", "died", "lost"), (8, 1, 1, 1, 1, 1, 1))[0]:
            case "crash":
                costs += 1.0
                return seconds, CRASH
            case "throttle":
                return 0.1, Throttle("slow down")
            case "away":
                return 0.1, NoConnection("no route")
            case "lost":
                return seconds, Ambiguous("reset")
            case kind:
                tasks = sent.tasks[: max(1, len(sent.tasks) - (kind == "part"))]
                told = [done(sent, task, seconds / len(tasks)) for task in tasks]
                if kind == "died":
                    told[0] |= {"status": "died", "code": 1, "value": ""}
                costs += seconds
                return seconds, {"outcomes": told}

    run = ran(VirtualLambda(behave, workers=4), range(30), chunksize=chance.randint(1, 4))
    snapshot = run.job.snapshot()
    assert (snapshot.state, snapshot.running) == ("finished", 0)
    assert snapshot.done + snapshot.failed == 30
    assert [run.values[i] for i in range(30) if i not in run.errors] == [i for i in range(30) if i not in run.errors]
    assert all(run.job.stats(i).attempts <= 4 for i in range(30))  # three, and one that its neighbours disturbed
    assert snapshot.task_seconds == pytest.approx(costs)
    assert sum(run.job.stats(i).billed_ms for i in range(30)) == pytest.approx(snapshot.billed_ms, rel=1e-4)
    assert snapshot.cost == pytest.approx(snapshot.billed_ms * 1e-6)
    assert snapshot.request_cost == pytest.approx(snapshot.invocations * 1e-3)


def test_time_that_tasks_waited_for_a_cpu_does_not_make_their_chunks_smaller() -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        return works(sent, 1.0, waited=0.99 * len(sent.tasks))

    run = ran(VirtualLambda(behave, workers=2), range(200))
    # As for tasks of 0.01 s.
    assert [len(tasks) for tasks in run.service.tasks[:4]] == [1, 1, 8, 16]


@pytest.mark.parametrize(("used", "kind"), [(500, "TaskOutOfMemory"), (90, "TaskCrashed")])
def test_a_process_that_was_killed_with_its_memory_in_use_ran_out_of_it(used: int, kind: str) -> None:
    run = ran(VirtualLambda(says(0, "died", code=-9), workers=2), range(1), retries=0)
    assert type(run.job.failed[0]).__name__ == "TaskCrashed"

    def behave(sent: Sent) -> tuple[float, Any]:
        seconds, reply = says(0, "died", code=-9)(sent)
        return seconds, {**reply, "used": used}

    run = ran(VirtualLambda(behave, workers=2), range(1), retries=0)
    assert type(run.job.failed[0]).__name__ == kind


def test_a_function_that_was_deleted_is_deployed_again_once() -> None:
    def gone(sent: Sent) -> tuple[float, Any]:
        # What was in flight to the old one learns later that it is gone.
        return (0.1 + sent.tasks[0], Refused("ResourceNotFoundException", "no", "")) if sent.at < 0.05 else works(sent)

    run = ran(VirtualLambda(gone, workers=3), range(6), chunksize=1)
    assert (run.values, run.service.connects) == (list(range(6)), [False, True])
    assert counts(run) == {"done": 6, "invocations": 6}
    # If that does not help, it is gone for good.
    lasting = ran(VirtualLambda(lambda _: (0.1, Refused("ResourceNotFoundException", "no", "")), workers=1), range(3))
    assert (type(lasting.job.error).__name__, lasting.service.connects) == ("FunctionGone", [False, True])


def test_after_a_stop_nothing_is_deployed() -> None:
    service = VirtualLambda(lambda _: (2.0, Refused("ResourceNotFoundException", "no", "")), workers=2)
    job, scheduler = prepared(service, range(4), chunksize=1)
    service.clock.later(1.0, job.cancel)
    scheduler.run()
    assert (service.connects, service.tasks, job.snapshot().state) == ([False], [[0], [1]], "cancelled")
    assert job.snapshot().cancelled == 4


def test_a_copy_that_loses_is_billed_and_its_value_not_taken() -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        if sent.tasks != [7]:
            return works(sent)
        # Sent at 1; copied at 4.25, which is answered at 5.25; itself answered at 5.5, while task 6 still runs.
        return (
            works(sent, 4.5) if not sent.runs[0] else (1.0, works(sent, 1.0, value="gASVCAAAAAAAAACMBGNvcHmULg==")[1])
        )

    def slower(sent: Sent) -> tuple[float, Any]:
        return works(sent, 9.0) if sent.tasks == [6] else behave(sent)

    run = ran(VirtualLambda(slower, workers=4), range(8), chunksize=1, backups=True)
    assert run.values == [0, 1, 2, 3, 4, 5, 6, "copy"]
    snapshot = run.job.snapshot()
    # Of task 7 both; of task 6, which is copied too, the one that is answered.
    assert snapshot.billed_ms == pytest.approx(6 * 1000 + 4500 + 1000 + 9000)
    assert counts(run)["done"] == 8


def test_after_a_stop_nothing_is_sent_and_what_is_in_flight_counts() -> None:
    service = VirtualLambda(workers=2)
    job, scheduler = prepared(service, range(10), chunksize=1)
    service.clock.later(2.5, job.cancel)
    scheduler.run()
    run = Ran(job, service, service.clock.now() - 100)
    assert (run.seconds, job.snapshot().state, job.error) == (3, "cancelled", None)
    assert counts(run) == {"done": 6, "cancelled": 4, "invocations": 6}


@pytest.mark.parametrize("outcome", [CRASH, Ambiguous("reset"), Throttle("slow down"), NoConnection("no route")])
def test_what_is_lost_after_a_stop_is_not_sent_again(outcome: Any) -> None:
    service = VirtualLambda(lambda _: (2.0, outcome), workers=2)
    job, scheduler = prepared(service, range(10), chunksize=1)
    service.clock.later(1.0, job.cancel)
    scheduler.run()
    assert service.tasks == [[0], [1]]
    snapshot = job.snapshot()
    assert (snapshot.running, snapshot.done) == (0, 0)
    assert snapshot.cancelled + snapshot.failed == 10


class Spy(NullJournal):
    """A journal that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[int]]] = []

    def taken(self, task: Any) -> None:
        assert task.fragment
        self.told.append(("taken", [task.index]))

    def counted(self) -> None:
        self.told.append(("counted", []))

    def sent(self, tasks: Any) -> None:
        self.told.append(("sent", [task.index for task in tasks]))

    def answered(self, tasks: Any, outcome: Any) -> None:
        assert outcome
        self.told.append(("answered", [task.index for task in tasks]))

    def close(self) -> None:
        self.told.append(("closed", []))


def test_the_journal_is_told_before_a_task_is_sent_and_when_it_is_answered() -> None:
    spy, service = Spy(), VirtualLambda(workers=1)
    _, scheduler = prepared(service, range(2), chunksize=1, journal=spy)
    scheduler.run()
    told = [entry for entry in spy.told if entry[0] != "counted"]
    assert told == [
        ("taken", [0]),
        ("taken", [1]),
        ("sent", [0]),
        ("answered", [0]),
        ("sent", [1]),
        ("answered", [1]),
        ("closed", []),
    ]
    assert spy.told.count(("counted", [])) == 1


def test_what_it_costs_is_shared_out_by_duration() -> None:
    run = ran(
        VirtualLambda(lambda sent: (3.0, {"outcomes": [done(sent, 0, 1.0), done(sent, 1, 2.0)]})), range(2), chunksize=2
    )
    assert [run.job.stats(i).billed_ms for i in range(2)] == pytest.approx([1000, 2000])
    assert [run.job.stats(i).memory_mb for i in range(2)] == [512, 512]
    snapshot = run.job.snapshot()
    assert (snapshot.cost, snapshot.request_cost) == pytest.approx((3000e-6, 1e-3))
    assert (snapshot.memory_mb, snapshot.running_seconds, snapshot.task_seconds) == (512, 3.0, 3.0)
