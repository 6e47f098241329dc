"""Jobs that run by themselves: handed over, looked after from another process, never run more often than allowed."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lithops_magic
from durable_help import SETTINGS, Visits, client, eventually, visiting
from faulty_lambda import Context, Fault, FaultyLambda, times
from lithops_magic.aws.invoke.outcomes import Ambiguous, Throttle
from lithops_magic.aws.session import Cloud, silent
from lithops_magic.aws.storage.objects import ObjectStore
from lithops_magic.engine import MapOptions, MapResult, handover
from lithops_magic.engine.backend import detached
from lithops_magic.engine.backend.detached import DetachedBackend
from lithops_magic.engine.dispatch.items import Source
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.durable import journal, kept_results
from lithops_magic.engine.durable.journal import Journal
from lithops_magic.engine.durable.kept_results import unseal
from lithops_magic.engine.durable.recipe import Recipe
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.item import fragment
from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import InvokeError, JobCancelled, MisuseError, TaskCrashed
from lithops_magic.worker import handler
from lithops_magic.worker import job as worker_job
from lithops_magic.worker.detached import NotDone
from localaws import LocalAws, local_command
from recording import record_no_job


@pytest.fixture
def visits() -> Iterator[Visits]:
    with visiting() as found:
        yield found


@pytest.fixture(autouse=True)
def quick(local_aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(kept_results, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(kept_results, "MARGIN", 0.5)


@pytest.fixture
def objects(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The account's objects, which workers in this process see as well."""
    for name, value in {
        "AWS_REGION": local_aws.region,
        "AWS_ACCESS_KEY_ID": local_aws.access_key_id,
        "AWS_SECRET_ACCESS_KEY": local_aws.secret_access_key,
        "AWS_ENDPOINT_URL": local_aws.endpoint_url,
    }.items():
        monkeypatch.setenv(name, value)
    found = ObjectStore(Cloud.connect(SETTINGS), SETTINGS)
    found.prepare(silent)
    return found


def visitor(visits: Visits) -> Callable[[int], int]:
    url = visits.url

    def visit(x: int) -> int:
        import urllib.request

        with urllib.request.urlopen(f"{url}/{x}") as answer:
            answer.read()
        return x * 10

    return visit


def own_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("lithops-magic-")}


def test_a_job_handed_over_by_one_process_is_taken_up_by_another(visits: Visits, objects: ObjectStore) -> None:
    visits.held, before = {5}, own_threads()
    handed = subprocess.run(
        [sys.executable, "-c", client("range(6)", detach=True, timeout=60), visits.url],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert handed.returncode == 0, handed.stderr.decode()
    (record,) = lithops_magic.jobs()
    assert (record.state, record.total) == ("detached", 6)
    visits.gate.set()
    result = lithops_magic.attach(record.id, settings=SETTINGS)
    assert result.wait(120)
    assert list(result.succeeded().values()) == [0, 20, 30, 40, 50]
    assert isinstance(result.errors[1], KeyError)
    assert visits.runs == Counter(range(6))
    assert result.cost > 6 * 2e-7
    eventually(lambda: lithops_magic.jobs()[0].state == "finished")
    eventually(lambda: own_threads() <= before)
    journal.running.clear()
    again = lithops_magic.attach(record.id, settings=SETTINGS)
    assert again.wait(120)
    assert list(again.succeeded().values()) == list(result.succeeded().values())
    # Its key is on this machine and in the requests only.
    key = result._job.key
    prefix = f"lithops-magic/jobs/{record.id}/"
    stored = b"".join(objects.get(each) for each in objects.list(prefix))
    functions = objects._cloud.client("lambda").list_functions()["Functions"]
    for place in (stored, str(functions).encode(), handed.stdout + handed.stderr, repr(result).encode()):
        assert key not in place
        assert key.hex().encode() not in place


def test_a_sandbox_that_dies_without_retries_is_lost_in_bounded_time_and_never_runs_again(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_results, "MARGIN", -5.0)  # of the function's ten seconds
    visit = visitor(visits)

    def task(x: int) -> int:
        value = visit(x)
        if x == 1:
            os._exit(3)
        return value

    result = lithops_magic.map(task, range(3), settings=SETTINGS, detach=True, retries=0, errors="keep")
    assert result.wait(120)
    assert list(result.succeeded().values()) == [0, 20]
    assert isinstance(result.errors[1], TaskCrashed)
    assert "left no result in S3" in str(result.errors[1])
    assert visits.runs == Counter(range(3))


def test_what_does_not_fit_in_an_event_travels_through_s3(objects: ObjectStore) -> None:
    large, before = bytes(range(256)) * 8192, set(objects.list("lithops-magic/objects/"))
    items = [os.urandom(1_500_000), b"small"]
    result = lithops_magic.map(
        lambda item: (len(large), item[::-1]), iter(items), settings=SETTINGS.replace(memory=512), detach=True
    )
    assert result.wait(120)
    assert list(result) == [(len(large), item[::-1]) for item in items]
    assert len(set(objects.list("lithops-magic/objects/")) - before) >= 1
    attached = lithops_magic.attach(result.job_id, settings=SETTINGS)
    assert attached.wait(120)
    assert list(attached) == list(result)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_cancelling_keeps_what_has_not_begun_from_being_run(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    visits.held = set(range(20))
    result = lithops_magic.map(visitor(visits), range(20), settings=SETTINGS.replace(timeout=60), detach=True)
    eventually(lambda: visits.runs.total() == 4)  # the local AWS has so many workers
    monkeypatch.setattr(result, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        result.finish()
    assert not result.done()
    assert f"attach('{result.job_id}')" in result.snapshot().notes[-1]
    result.cancel()
    assert result.done()
    prefix = f"lithops-magic/jobs/{result.job_id}/"
    objects = ObjectStore(Cloud.connect(SETTINGS), SETTINGS)
    eventually(lambda: f"{prefix}cancelled" in objects.list(prefix))
    visits.gate.set()
    eventually(lambda: result.snapshot().running == 0)
    assert len(list(result.succeeded().values())) == visits.runs.total() == 4
    missing = next(task for task in range(20) if task not in visits.runs)
    with pytest.raises(JobCancelled):
        result[missing]


@pytest.mark.parametrize(
    ("items", "options", "reason"),
    [
        (itertools.count(), {}, "more than 10 items"),
        (range(3), {"max_cost": 1.0}, "max_cost"),
        (range(3), {"backups": True}, "backups"),
        (range(3), {"reduce": sum}, "reduce"),
    ],
)
def test_what_a_detached_job_cannot_have_is_one_line_and_nothing_is_sent(
    local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch, items: Any, options: dict[str, Any], reason: str
) -> None:
    monkeypatch.setattr(handover, "ITEMS", 10)
    record_no_job(monkeypatch)
    before = local_aws.requests()
    with pytest.raises(MisuseError, match=reason) as caught:
        lithops_magic.map(abs, items, settings=SETTINGS, detach=True, **options)
    assert "\n" not in str(caught.value)
    assert local_aws.requests() == before


def hand_over(objects: ObjectStore, fault: Fault, items: list[Any], **options: Any) -> MapResult:
    """Run a detached job whose events meet with `fault`, and whose workers are in this process."""
    wanted = MapOptions(detach=True, **options)
    job = Job(handover.scheduled(wanted), str, len(items))
    function = Function.pickle(lambda x: x * 2)
    written = Journal(job, Recipe.of(SETTINGS, wanted, function, job.key))
    events = FaultyLambda(fault, store=objects)
    backend = DetachedBackend(job, function, items, written, wanted, events)
    Scheduler(job, function, Source(items), backend, journal=written).start()
    result = MapResult(job)
    assert result.wait(120)
    return result


@pytest.mark.parametrize("outcome", [Throttle("Rate", retry_after=0.05), Ambiguous("reset")])
def test_events_that_aws_did_not_take_are_sent_again(objects: ObjectStore, outcome: Any) -> None:
    result = hand_over(objects, times(3, outcome), ["a", 1, 2, "b"], chunksize=2)
    assert list(result) == ["aa", 2, 4, "bb"]


def test_events_that_aws_never_takes_end_the_job(objects: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detached, "TRIES", 3)
    result = hand_over(objects, lambda _: Ambiguous("reset"), [1])
    assert isinstance(result.error, InvokeError)
    with pytest.raises(InvokeError, match="reset"):
        handover.handed_over(result)
    assert f"lithops-magic/jobs/{result.job_id}/cancelled" in objects.list(f"lithops-magic/jobs/{result.job_id}/")


def test_an_outage_while_a_job_is_handed_over_fails_nothing(objects: ObjectStore) -> None:
    begun: list[float] = []

    def out(_: list[int]) -> Any:
        begun.append(time.monotonic())
        return Ambiguous("503") if begun[-1] - begun[0] < 2.0 else None

    result = hand_over(objects, out, [*range(60)], chunksize=1)
    assert list(result) == [x * 2 for x in range(60)]


def test_a_detached_job_of_which_nothing_is_left_in_s3_is_not_waited_for(visits: Visits, objects: ObjectStore) -> None:
    # As after a restart of the local AWS: the bucket is there again, and empty.
    visits.held = {0, 1}
    handed = subprocess.run(
        [sys.executable, "-c", client("range(2)", detach=True), visits.url],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert handed.returncode == 0, handed.stderr.decode()
    (record,) = lithops_magic.jobs()
    journal.running.clear()
    objects.delete_prefix(f"lithops-magic/jobs/{record.id}/")
    result = lithops_magic.attach(record.id, settings=SETTINGS)
    assert result.wait(120)
    assert len(result.errors) == 2
    assert any("the job's objects were deleted" in note for note in result.snapshot().notes)
    visits.gate.set()


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    worker_job.end_process()


class Deliveries:
    """A worker in this process to which one event is delivered again and again."""

    def __init__(self, objects: ObjectStore, function: Callable[[Any], Any], *, runs: int, again: Any = ()) -> None:
        told = {"runs": runs, "again": list(again)}
        self.place = Place(objects, f"lithops-magic/jobs/{os.urandom(8).hex()}/", key=b"k" * 32, rules=told)
        requests = Function.pickle(function).place(self.place)
        self.event: dict[str, Any] = json.loads(requests.request([fragment(7, 1, requests.room)]))

    def deliver(self, **changes: Any) -> dict[str, Any]:
        return handler.handle({**self.event, **changes}, Context)

    def names(self) -> set[str]:
        return {key.removeprefix(self.place.prefix) for key in self.place.store.list(self.place.prefix)}

    def outcome(self) -> dict[str, Any]:
        return unseal(self.place.key, self.place.store.get(f"{self.place.prefix}7"), 7)


def fails(x: Any) -> Any:
    raise KeyError(x)


def test_an_event_that_is_delivered_twice_is_run_once(objects: ObjectStore) -> None:
    one = Deliveries(objects, lambda x: time.time(), runs=1)
    assert one.deliver() == {}
    first = one.outcome()
    assert one.deliver() == {}
    assert one.outcome() == first
    assert one.names() == {"7", "run-7-1"}
    three = Deliveries(objects, lambda x: x, runs=3)
    three.deliver()
    three.deliver()
    assert three.names() == {"7", "run-7-1"}


def test_a_run_that_died_is_followed_by_as_many_as_are_allowed(objects: ObjectStore) -> None:
    dead = Deliveries(objects, lambda x: x, runs=2)
    objects.put(f"{dead.place.prefix}run-7-1", b"")
    dead.deliver()
    assert dead.names() == {"7", "run-7-1", "run-7-2"}
    never = Deliveries(objects, lambda x: x, runs=1)
    objects.put(f"{never.place.prefix}run-7-1", b"")
    assert never.deliver() == {}
    assert never.names() == {"run-7-1"}


def test_an_error_that_is_to_be_retried_makes_lambda_deliver_again(objects: ObjectStore) -> None:
    retried = Deliveries(objects, fails, runs=2, again=["error"])
    with pytest.raises(NotDone, match="7"):
        retried.deliver()
    assert "7" not in retried.names()
    retried.deliver()
    assert retried.outcome()["status"] == "error"


def test_a_cancelled_job_begins_nothing_and_a_wrong_python_is_told(objects: ObjectStore) -> None:
    cancelled = Deliveries(objects, lambda x: x, runs=3)
    objects.put(f"{cancelled.place.prefix}cancelled", b"")
    assert cancelled.deliver() == {}
    assert cancelled.names() == {"cancelled"}
    wrong = Deliveries(objects, lambda x: x, runs=3)
    assert wrong.deliver(python="2.7") == {}
    assert "2.7" in wrong.outcome()["reason"]


def test_what_a_local_aws_had_not_run_when_it_ended_is_not_waited_for(
    visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own"
    monkeypatch.setenv("LITHOPS_MAGIC_LOCAL_DIR", str(folder))
    visits.held = {1}
    try:
        handed = [sys.executable, "-c", client("[0, 1, 2, 3, 4]", detach=True), visits.url]
        subprocess.run(handed, capture_output=True, timeout=120, check=True)
        eventually(lambda: visits.runs[1] and visits.runs[4])
        (record,) = lithops_magic.jobs()
        local_command(folder, "stop")
        result = lithops_magic.attach(record.id, settings=SETTINGS)
        assert result.wait(100)
        assert 1 in result.errors or isinstance(result.error, JobCancelled)
        assert any("has been restarted" in note for note in result.snapshot().notes)
    finally:
        local_command(folder, "stop")
