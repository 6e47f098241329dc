"""What becomes of tasks whose items, values or function are in S3, and of those whose values are cached there."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest

from lithops_magic.aws.invoke.outcomes import Ambiguous
from lithops_magic.engine import MapOptions
from lithops_magic.engine.dispatch import scheduler
from lithops_magic.engine.dispatch.items import Items, Source
from lithops_magic.engine.durable.kept_results import NothingKept
from lithops_magic.engine.durable.null_journal import NullJournal
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.reply import VerifiedReply
from lithops_magic.errors import AwsError, ItemError, ResultError, TamperedError, TaskLost
from lithops_magic.worker import packing
from virtual_lambda import Behaviour, Checked, Ran, Sent, VirtualLambda, done, prepared, ran, works
from virtual_store import MemoryStore, in_virtual_time

SECONDS = 3.0
"""How long a transfer takes."""
LARGE = random.Random(0).randbytes(5_000_000)
"""In base64, more than an invocation can take."""
NONE = "gAVOLg=="


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def service(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> VirtualLambda:
    service = VirtualLambda(workers=2, store=store)
    in_virtual_time(monkeypatch, service.clock, SECONDS)
    return service


def refers(task: int, reference: dict[str, Any]) -> Behaviour:
    """The value of that task is in S3; the others return their items."""

    def behave(sent: Sent) -> tuple[float, dict[str, Any]]:
        seconds, reply = works(sent)
        for outcome in reply["outcomes"]:
            if outcome["id"] == task:
                outcome |= {"value": reference, "log": "said\n"}
        return seconds, reply

    return behave


def says_once(task: int, status: str, times: int = 1) -> Behaviour:
    """The worker says that of a task the first time, or times."""

    def behave(sent: Sent) -> tuple[float, dict[str, Any]]:
        seconds, reply = works(sent, value=NONE)
        for outcome, runs in zip(reply["outcomes"], sent.runs, strict=True):
            if outcome["id"] == task and runs < times:
                outcome |= {"status": status, "value": "", "reason": "it is not there"}
        return seconds, reply

    return behave


def history(run: Ran) -> list[tuple[float, list[int]]]:
    return list(zip(run.service.times, run.service.tasks, strict=True))


def some(run: Ran, *names: str) -> tuple[int, ...]:
    return tuple(getattr(run.job.snapshot(), name) for name in names)


# Values


def test_a_large_value_is_fetched_and_the_job_waits_for_it(service: VirtualLambda, store: MemoryStore) -> None:
    service.behaviour = refers(1, store.value(packing.dumps("large")))
    run = ran(service, range(4), chunksize=1)
    assert run.values == [0, "large", 2, 3]
    assert run.seconds == 1 + SECONDS  # it was fetched while the others ran
    assert history(run) == [(0, [0]), (0, [1]), (1, [2]), (1, [3])]
    assert some(run, "done", "retried", "running") == (4, 0, 0)
    assert run.job.logs() == {1: "said\n"}
    assert len(store.asked) == 1


def test_of_a_value_that_is_being_fetched_there_is_no_copy(service: VirtualLambda, store: MemoryStore) -> None:
    """A copy of it would run a task that has ended."""
    late = refers(7, store.value(packing.dumps("large")))
    service.behaviour = lambda sent: late(sent) if sent.tasks == [7] else works(sent)
    run = ran(service, range(8), chunksize=1, backups=True)
    assert (len(service.sent), run.values[7], run.seconds) == (8, "large", 4 + SECONDS)


@pytest.mark.parametrize("copy_first", [True, False])
def test_the_value_that_is_fetched_first_is_taken(service: VirtualLambda, store: MemoryStore, copy_first: bool) -> None:
    """The copy of a straggler keeps its value in S3: while that is on its way, the straggler may end."""

    def behave(sent: Sent) -> tuple[float, Any]:
        if sent.tasks != [7]:
            return works(sent)
        if not sent.runs[0]:
            return works(sent, 20.0 if copy_first else 6.0)
        return refers(7, store.value(packing.dumps("copy")))(sent)

    service.behaviour = behave
    service.endpoint = service.endpoint.__class__(**{**_fields(service.endpoint), "workers": 4})
    run = ran(service, range(8), chunksize=1, backups=True)
    assert run.values[7] == ("copy" if copy_first else 7)
    assert some(run, "done", "backups") == (8, 1)
    # Sent at 1; the copy at 4.25, answered at 5.25, fetched at 8.25; the straggler at 7.
    assert run.seconds == 8.25


def _fields(endpoint: Any) -> dict[str, Any]:
    return {name: getattr(endpoint, name) for name in endpoint.__slots__}


def test_an_altered_value_is_not_unpickled_and_the_task_not_run_again(
    service: VirtualLambda, store: MemoryStore
) -> None:
    reference = store.value(packing.dumps("large"))
    store.objects[reference["object"]] = packing.dumps("forged")
    service.behaviour = refers(1, reference)
    run = ran(service, range(4), chunksize=1)
    assert isinstance(run.job.failed[1], TamperedError)
    assert run.errors == {1: "Task 1 (1): its result: it was altered"}
    assert run.values == [0, None, 2, 3]
    assert len(service.sent) == 4
    assert run.job.logs() == {1: "said\n"}


def test_a_value_that_is_gone_is_computed_again(service: VirtualLambda, store: MemoryStore) -> None:
    gone = {**store.value(b"x"), "object": "values/gone"}
    service.behaviour = lambda sent: refers(1, gone)(sent) if not sent.runs[0] else works(sent)
    run = ran(service, range(2), chunksize=1)
    assert run.values == [0, 1]
    assert history(run) == [(0, [0]), (0, [1]), (1 + SECONDS, [1])]
    assert some(run, "done", "retried") == (2, 1)


def test_a_value_that_stays_away_is_a_lost_attempt_each_time(service: VirtualLambda, store: MemoryStore) -> None:
    service.behaviour = refers(1, {**store.value(b"x"), "object": "values/gone"})
    run = ran(service, range(2), chunksize=1, retries=1)
    assert isinstance(run.job.failed[1], ResultError)
    assert run.errors[1] == (
        "Task 1 (1): its result could not be fetched from S3: there is no such object (attempt 2 of 2)"
    )
    assert run.job.logs() == {1: "said\n"}
    assert [run.job.stats(i).attempts for i in range(2)] == [1, 2]


def test_whatever_fetching_raises_is_a_lost_attempt(
    service: VirtualLambda, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "get", lambda *_, **__: 1 / 0)
    service.behaviour = refers(1, store.value(b"x"))
    run = ran(service, range(2), chunksize=1, retries=0)
    assert run.errors == {
        1: "Task 1 (1): its result could not be fetched from S3: ZeroDivisionError('division by zero')"
    }
    assert run.values == [0, None]


def test_what_cannot_be_unpickled_here_has_failed_for_good(service: VirtualLambda, store: MemoryStore) -> None:
    service.behaviour = refers(1, store.value(packing.dumps(1)[:-1] + b"!"))
    run = ran(service, range(2), chunksize=1)
    assert run.errors[1].startswith("Task 1 (1): its result cannot be unpickled here: ")
    assert len(service.sent) == 2


def test_after_a_stop_values_that_are_on_their_way_still_arrive(service: VirtualLambda, store: MemoryStore) -> None:
    service.behaviour = refers(1, store.value(packing.dumps("large")))
    job, running = prepared(service, range(9), chunksize=1)
    service.clock.later(1.5, job.cancel)
    running.run()
    run = Ran(job, service, 0)
    # 0 to 3 were sent; those of 2 and 3 are answered after the stop.
    assert run.values[:4] == [0, "large", 2, 3]
    assert some(run, "done", "cancelled", "running") == (4, 5, 0)


def test_a_value_that_is_lost_after_a_stop_is_not_computed_again(service: VirtualLambda, store: MemoryStore) -> None:
    service.behaviour = refers(1, {**store.value(b"x"), "object": "values/gone"})
    job, running = prepared(service, range(2), chunksize=1)
    service.clock.later(1.5, job.cancel)
    running.run()
    assert len(service.sent) == 2
    assert job.ledger.values == [0, None]
    assert job.snapshot().running == 0


class Keeping:
    """A place where tasks kept their results, which are found four seconds after a connection broke."""

    def __init__(self, service: VirtualLambda, found: bool) -> None:
        self.service, self.found = service, found
        self.made: list[tuple[Any, float]] = []
        self.asked: list[tuple[list[int], float]] = []

    def __call__(self, place: Any, timeout: float) -> Keeping:
        self.made.append((place, timeout))
        return self

    def takes(self, tasks: Any, sent_at: float, outcome: Any, deliver: Any) -> bool:
        if not isinstance(outcome, Ambiguous) or isinstance(outcome, NothingKept):
            return False
        self.asked.append((list(tasks), sent_at - 100))
        sent = next(sent for sent in self.service.sent if sent.tasks == list(tasks))
        told = json.dumps({"sandbox": "one", "cold": False, "outcomes": [done(sent, task) for task in tasks]})
        kept = VerifiedReply(told.encode(), None, "", "id", None) if self.found else NothingKept(outcome.message)
        self.service.clock.later(4.0, lambda: deliver(kept))
        return True

    def close(self) -> None:
        pass


@pytest.mark.parametrize("found", [True, False])
def test_what_a_task_kept_before_its_connection_broke_is_its_value(
    service: VirtualLambda, monkeypatch: pytest.MonkeyPatch, found: bool
) -> None:
    keeping = Keeping(service, found)
    monkeypatch.setattr(scheduler, "KeptResults", keeping)
    service.behaviour = lambda sent: (
        (1.0, Ambiguous("reset")) if sent.tasks == [1] and not sent.runs[0] else works(sent)
    )
    job, running = prepared(service, range(4), chunksize=1, retry_errors=True, keep_after=2.5)
    running.run()
    run = Ran(job, service, round(service.clock.now() - 100, 3))
    assert run.values == [0, 1, 2, 3]
    assert keeping.asked == [([1], 0.0)]
    # Meanwhile it is in flight, and its worker busy.
    assert history(run)[:4] == [(0, [0]), (0, [1]), (1, [2]), (2, [3])]
    assert service.tasks.count([1]) == (1 if found else 2)
    assert some(run, "done", "retried", "running") == (4, 0 if found else 1, 0)
    place, timeout = keeping.made[-1]
    assert (place.store, timeout) == (service.endpoint.store, 7)
    assert job.id in place.prefix
    assert (place.key, place.after) == (job.key, 2.5)
    assert place.rules == {"again": ["error"]}


# Items


def test_a_large_item_is_uploaded_while_the_others_run(service: VirtualLambda, store: MemoryStore) -> None:
    service.behaviour = lambda sent: works(sent, value=NONE)
    run = ran(service, [0, LARGE, 2, 3], chunksize=1)
    assert history(run) == [(0, [0]), (0, [2]), (1, [3]), (SECONDS, [1])]
    fragment = service.sent[-1].fragments[1]
    assert packing.loads(store.objects[fragment["object"]]) == LARGE
    assert fragment["sha256"] == fragment["object"].removeprefix("once/")
    assert some(run, "done", "retried") == (4, 0)


def test_an_item_that_just_fits_is_not_uploaded(service: VirtualLambda, store: MemoryStore) -> None:
    service.behaviour = lambda sent: works(sent, value=NONE)
    run = ran(service, [LARGE[:4_500_000]], chunksize=1)
    assert base64.b64decode(service.sent[0].fragments[0]["data"]) == packing.dumps(LARGE[:4_500_000])
    assert (store.written, run.seconds) == ([], 1)


def test_without_s3_a_large_item_fails_alone() -> None:
    run = ran(VirtualLambda(lambda sent: works(sent, value=NONE), workers=2), [0, LARGE, 2], chunksize=1)
    assert run.errors.keys() == {1}
    assert isinstance(run.job.failed[1], ItemError)
    assert "The item takes 6,666," in run.errors[1]
    assert run.service.tasks == [[0], [2]]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (AwsError("S3 says no"), "S3 says no"),
        (ZeroDivisionError("x"), "it could not be sent: ZeroDivisionError('x')"),
    ],
)
def test_an_item_that_cannot_be_uploaded_fails_alone(
    service: VirtualLambda, store: MemoryStore, raised: BaseException, said: str
) -> None:
    store.refuses = raised
    service.behaviour = lambda sent: works(sent, value=NONE)
    run = ran(service, [0, LARGE, 2], chunksize=1)
    assert isinstance(run.job.failed[1], ItemError)
    assert run.errors[1].endswith(f": {said}")
    assert run.service.tasks == [[0], [2]]
    assert some(run, "done", "failed", "invocations") == (2, 1, 2)


def test_an_item_that_is_uploaded_after_a_stop_is_not_sent(service: VirtualLambda) -> None:
    service.behaviour = lambda sent: works(sent, value=NONE)
    job, running = prepared(service, [0, LARGE], chunksize=1)
    service.clock.later(2.0, job.cancel)
    running.run()
    assert service.tasks == [[0]]
    assert some(Ran(job, service, 0), "done", "cancelled", "running") == (1, 1, 0)


def test_what_a_sandbox_does_not_find_is_uploaded_again_and_the_task_sent_again(
    service: VirtualLambda, store: MemoryStore
) -> None:
    service.behaviour = says_once(1, "absent")
    job, running = prepared(service, [0, LARGE], chunksize=1)
    # Somebody deletes it while it is in flight.
    service.clock.later(SECONDS + 0.5, store.objects.clear)
    running.run()
    run = Ran(job, service, 0)
    assert history(run) == [(0, [0]), (SECONDS, [1]), (SECONDS + 1 + SECONDS, [1])]
    assert some(run, "done", "retried") == (2, 1)
    assert packing.loads(store.objects[service.sent[-1].fragments[1]["object"]]) == LARGE
    assert store.written[0] == store.written[-1]
    assert [run.job.stats(i).attempts for i in range(2)] == [1, 2]


@pytest.mark.parametrize(("retries", "sent"), [(0, 2), (1, 2), (3, 4)])
def test_what_is_never_found_is_uploaded_again_as_often_as_a_task_may_be_tried(
    service: VirtualLambda, retries: int, sent: int
) -> None:
    """Once even where nothing may run twice: it did not run."""
    service.behaviour = says_once(1, "absent", times=99)
    run = ran(service, range(2), chunksize=1, retries=retries)
    assert service.tasks.count([1]) == sent
    assert isinstance(run.job.failed[1], TaskLost)
    assert "it is not there" in run.errors[1]
    assert run.values == [None, None]
    assert some(run, "done", "failed", "retried") == (1, 1, sent - 1)


def test_a_copy_that_does_not_find_its_item_is_no_news_while_the_straggler_may_end(service: VirtualLambda) -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        if sent.tasks == [7]:
            return works(sent, 9.0, NONE) if not sent.runs[0] else says_once(7, "absent", times=99)(sent)
        return works(sent, value=NONE)

    service.behaviour = behave
    run = ran(service, range(8), chunksize=1, backups=True)
    assert some(run, "done", "failed", "retried") == (8, 0, 0)
    assert run.seconds == 12  # it was sent at 3


def test_a_function_that_a_sandbox_does_not_find_is_uploaded_again_as_well(
    service: VirtualLambda, store: MemoryStore
) -> None:
    data = random.Random(1).randbytes(3_000_000)

    def function(x: int) -> int:
        return x + len(data)

    service.behaviour = says_once(1, "absent")
    job = Job(MapOptions(chunksize=1), str, 2, abs, range(2), service.clock)
    before: list[str] = []
    service.clock.later(0.5, lambda: (before.extend(store.written), store.objects.clear()))
    Checked(job, Function.pickle(function), Source(Items(range(2))), service).run()
    assert (job.ledger.values, service.tasks) == ([None, None], [[0], [1], [1]])
    assert before
    assert {*before} <= {*store.written[len(before) :]}


@pytest.mark.parametrize(("tasks", "uploads"), [(2, False), (2000, True)])
def test_a_function_of_many_tasks_is_uploaded_and_of_few_sent_along(
    service: VirtualLambda, store: MemoryStore, tasks: int, uploads: bool
) -> None:
    data = random.Random(1).randbytes(40_000)

    def function(x: int) -> int:
        return x + len(data)

    service.behaviour = lambda sent: works(sent, 0.001)
    job = Job(MapOptions(chunksize=1000), str, tasks, abs, range(tasks), service.clock)
    places: list[Any] = []

    class Telling(NullJournal):
        def start(self, place: Any, oldest: Any = None) -> None:
            places.append(place)

    Checked(job, Function.pickle(function), Source(Items(range(tasks))), service, journal=Telling()).run()
    assert job.ledger.values == list(range(tasks))
    assert bool(store.written) is uploads
    # Its journal is where its values are.
    assert [(place.store, job.id in place.prefix, place.key) for place in places] == [(store, True, job.key)]


def test_what_a_job_has_in_s3_can_be_downloaded(service: VirtualLambda, store: MemoryStore) -> None:
    run = ran(service, [1])
    assert run.job.download is not None
    assert run.job.download(store.value(b"content")) == b"content"


def test_items_that_cannot_be_sent_are_told_to_the_journal(service: VirtualLambda, store: MemoryStore) -> None:
    told: list[tuple[int, bool]] = []

    class Telling(NullJournal):
        def taken(self, task: Any) -> None:
            told.append((task.index, bool(task.fragment)))

    store.refuses = AwsError("S3 says no")
    _, running = prepared(service, [0, LARGE, (i for i in ())], chunksize=1, journal=Telling())
    running.run()
    assert sorted(told) == [(0, True), (1, False), (2, False)]


# The function


def test_a_large_function_is_uploaded_once_and_every_request_refers_to_it(
    service: VirtualLambda, store: MemoryStore
) -> None:
    job = Job(MapOptions(chunksize=1), str, 2, abs, range(2), service.clock)
    phases: list[str] = []
    publish = job.publish

    def listen(event: Any) -> None:
        if type(event).__name__ == "Phase":
            phases.append(event.text)
        publish(event)

    job.publish = listen  # type: ignore[method-assign]
    data = random.Random(1).randbytes(3_000_000)

    def function(x: int) -> int:
        return x + len(data)

    Checked(job, Function.pickle(function), Source(Items(range(2))), service).run()
    assert job.ledger.values == [0, 1]
    assert phases[:2] == ["connecting", ""]
    assert phases[2].startswith("Uploading the function, ")
    assert phases[-1] == ""
    assert sum(map(len, store.objects.values())) >= 3_000_000
    assert len(store.written) == len(set(store.written))
