"""Jobs outlive the process that began them: journal, kept results, attach."""

from __future__ import annotations

import hmac
import json
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import lithops_magic
from durable_help import SETTINGS, Visits, client, eventually, visiting
from faulty_lambda import FaultyLambda
from lithops_magic.aws.invoke.outcomes import Ambiguous, Outcome
from lithops_magic.aws.session import Cloud, silent
from lithops_magic.aws.storage.objects import ObjectStore
from lithops_magic.engine import MapOptions, MapResult
from lithops_magic.engine.dispatch.items import Source
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.durable import journal, kept_results, records
from lithops_magic.engine.durable.folder import JobFolder
from lithops_magic.engine.durable.history import JobHistory
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.wire.function import Function
from lithops_magic.errors import JobInterrupted, TamperedError, UnknownJob
from localaws import LocalAws
from recording import record_every_job, record_no_job


@pytest.fixture
def visits() -> Iterator[Visits]:
    with visiting() as found:
        yield found


@pytest.fixture(autouse=True)
def quick(local_aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    record_every_job(monkeypatch)
    monkeypatch.setattr(journal, "AFTER", 0.05)
    monkeypatch.setattr(kept_results, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(kept_results, "MARGIN", 0.5)


@pytest.fixture
def objects(local_aws: LocalAws) -> ObjectStore:
    found = ObjectStore(Cloud.connect(SETTINGS), SETTINGS)
    found.prepare(silent)
    return found


@contextmanager
def begun(visits: Visits, items: str = "range(8)", **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs a job; it is gone afterwards, whatever becomes of the test."""
    with subprocess.Popen([sys.executable, "-c", client(items, **options), visits.url]) as running:
        try:
            yield running
        finally:
            running.kill()


def written_down(job_id: str) -> bool:
    """Whether the journal has that tasks 2 and 3 were sent, and an item more."""
    recall = JobHistory.of(records.read(JobFolder.find(job_id).journal), once=False)
    return {2, 3} <= recall.flying and 4 in recall._items


def kill_amid(visits: Visits, items: str = "range(8)", **options: Any) -> str:
    """Begin a job of which tasks 2 and 3 take long, kill its process meanwhile, and return its id."""
    visits.held = {2, 3}
    with begun(visits, items, workers=2, chunksize=1, **options) as running:
        eventually(lambda: visits.runs[2] and visits.runs[3])
        eventually(lambda: [job.done + job.failed for job in lithops_magic.jobs()] == [2])
        eventually(lambda: written_down(lithops_magic.jobs()[0].id))
        running.send_signal(signal.SIGKILL)
        running.wait()
    return lithops_magic.jobs()[0].id


@pytest.mark.parametrize("items", ["range(8)", "(x for x in range(8))"])
def test_a_job_whose_client_was_killed_is_resumed_and_nothing_that_ended_runs_again(
    visits: Visits, objects: ObjectStore, items: str
) -> None:
    # On a loaded machine the tasks that are held may wait for longer than the usual 10 seconds.
    job_id = kill_amid(visits, items, retries=0, timeout=60)
    (record,) = lithops_magic.jobs()
    assert (record.state, record.done, record.failed) == ("interrupted", 1, 1)
    visits.gate.set()
    looked_at = lithops_magic.attach(job_id, settings=SETTINGS)
    assert looked_at.wait(120)
    assert list(looked_at.succeeded().values()) == [0, 20, 30]
    assert isinstance(looked_at.errors[1], KeyError)
    with pytest.raises(lithops_magic.errors.JobCancelled, match="resume=True"):
        looked_at[4]
    assert visits.runs == Counter(range(4))
    resumed = lithops_magic.attach(job_id, resume=True, settings=SETTINGS)
    assert resumed.wait(120)
    assert visits.runs[7] == (1 if items == "range(8)" else 0)
    assert list(resumed.succeeded().values()) == [x * 10 for x in range(8) if x != 1 and visits.runs[x]]
    assert isinstance(resumed.errors[1], KeyError)
    assert set(visits.runs.values()) == {1}
    assert resumed.cost > 0


def test_a_short_job_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, local_aws: LocalAws, tmp_path: Path
) -> None:
    record_no_job(monkeypatch)
    lithops_magic.map(lambda x: x, [0], settings=SETTINGS)
    before = local_aws.requests()
    lithops_magic.map(lambda x: x, range(200), settings=SETTINGS)
    now = local_aws.requests()
    assert {name: now[name] for name in now if name.startswith("s3:")} == {
        name: before[name] for name in before if name.startswith("s3:")
    }
    assert list(tmp_path.iterdir()) == []
    assert lithops_magic.jobs() == []


def test_what_is_written_down_is_the_users_own_and_holds_no_credential(
    objects: ObjectStore, visits: Visits, local_aws: LocalAws, tmp_path: Path
) -> None:
    visits.held, url = {1}, visits.url
    secrets = {"access_key_id": "AKIANOTREALLYAKEY000", "secret_access_key": "not-a-secret-key", "session_token": "tkn"}

    def visit(x: int) -> int:
        import urllib.request

        urllib.request.urlopen(f"{url}/{x}").close()
        return x

    result = lithops_magic.map(visit, [0, 1], settings=SETTINGS.replace(**secrets), keep_after=1e-4, background=True)
    prefix = f"lithops-magic/jobs/{result.job_id}/"
    eventually(lambda: f"{prefix}manifest" in objects.list(prefix))
    visits.gate.set()
    assert result.wait(120)
    eventually(lambda: [job.state for job in lithops_magic.jobs()] == ["finished"])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_dir()} == {0o700}
    written = b"".join(path.read_bytes() for path in files)
    stored = b"".join(objects.get(key) for key in objects.list(prefix))
    key = result._job.key
    assert key.hex().encode() in written
    for secret in (*secrets.values(), local_secret(objects)):
        assert secret.encode() not in written + stored
    assert key.hex().encode() not in stored
    assert key not in stored
    shown = repr(result) + repr(result._job.__dict__) + str(environment(local_aws))
    assert key.hex() not in shown
    assert json.loads(objects.get(f"{prefix}manifest"))["id"] == result.job_id


def local_secret(objects: ObjectStore) -> str:
    return str(objects._cloud.credentials().secret_key)


def environment(local_aws: LocalAws) -> list[Any]:
    return [function.get("Environment") for function in local_aws.functions()]


def test_kept_results_that_were_changed_or_swapped_are_never_unpickled(visits: Visits, objects: ObjectStore) -> None:
    job_id = kill_amid(visits, timeout=60)
    visits.gate.set()
    prefix = f"lithops-magic/jobs/{job_id}/"
    eventually(lambda: {f"{prefix}2", f"{prefix}3"} <= set(objects.list(prefix)))
    objects.put(f"{prefix}3", objects.get(f"{prefix}2"))
    forged = json.dumps({"id": 2, "status": "ok", "value": "", "started": 0, "seconds": 1, "log": ""}).encode()
    objects.put(f"{prefix}2", hmac.digest(b"another key", forged, "sha256") + forged)
    result = lithops_magic.attach(job_id, settings=SETTINGS)
    assert result.wait(120)
    assert [type(result.errors[task]) for task in (2, 3)] == [TamperedError, TamperedError]
    assert f"s3://{objects.bucket}/{prefix}2 is not what the sandbox wrote" in str(result.errors[2])


def test_an_unknown_job_is_one_line_with_what_is_known(visits: Visits) -> None:
    with pytest.raises(UnknownJob, match="there are none"):
        lithops_magic.attach("0123")
    for path in ("../x", ""):
        with pytest.raises(UnknownJob):
            lithops_magic.attach(path)
    result = lithops_magic.map(time.sleep, [0.5], settings=SETTINGS, background=True)
    eventually(lithops_magic.jobs)
    close = result.job_id[:-2] + "zz"
    with pytest.raises(UnknownJob, match=f"{close}.*did you mean {result.job_id}"):
        lithops_magic.attach(close)
    # In the process that runs it, it is the same job.
    assert lithops_magic.attach(result.job_id)._job is result._job
    assert result.wait(120)


SLOW = "(x for x in range(8) if x < 6 or not urllib.request.urlopen(base + '/' + str(x * 10)).close())"
"""An iterator of which the last two items come late."""


@pytest.mark.parametrize(("items", "held"), [("range(8)", 2), (SLOW, 60)])
def test_a_job_that_another_process_runs_is_waited_for_and_not_resumed(visits: Visits, items: str, held: int) -> None:
    visits.held = {held}
    with begun(visits, items, chunksize=1) as running:
        first = 7 if held == 2 else 6
        eventually(lambda: [job.done + job.failed for job in lithops_magic.jobs()] == [first])
        (record,) = lithops_magic.jobs()
        assert record.state == "running"
        with pytest.raises(JobInterrupted, match="still running on this machine"):
            lithops_magic.attach(record.id, resume=True, settings=SETTINGS)
        result = lithops_magic.attach(record.id, settings=SETTINGS)
        eventually(lambda: result.snapshot().done + result.snapshot().failed == first)
        assert not result.wait(1)
        visits.gate.set()
        assert result.wait(120)
        assert list(result.succeeded().values()) == [x * 10 for x in range(8) if x != 1]
        assert isinstance(result.errors[1], KeyError)
        assert running.wait(120) == 0
    assert set(visits.runs.values()) == {1}
    assert lithops_magic.jobs()[0].state == "finished"


def test_who_waits_for_another_process_learns_of_its_end(visits: Visits) -> None:
    visits.held = {2}
    with begun(visits, chunksize=1) as running:
        eventually(lambda: [job.done + job.failed for job in lithops_magic.jobs()] == [7])
        result = lithops_magic.attach(lithops_magic.jobs()[0].id, settings=SETTINGS)
        running.kill()
        assert result.wait(120)
    assert isinstance(result.error, JobInterrupted)
    assert list(result.succeeded().values()) == [x * 10 for x in range(8) if x not in (1, 2)]


def test_a_job_whose_resume_was_killed_as_well_is_looked_at_and_resumed_again(visits: Visits) -> None:
    job_id = kill_amid(visits)
    resume = f"lithops_magic.attach({job_id!r}, resume=True, settings=Settings(local=True, memory=256, timeout=10))"
    program = client("[]").partition("result =")[0] + f"result = {resume}\nresult.wait()\n"
    visits.held = {5}
    visits.gate.set()
    eventually(lambda: visits.runs[3])
    visits.gate.clear()
    with subprocess.Popen([sys.executable, "-c", program, visits.url]) as running:
        eventually(lambda: visits.runs[5])
        running.kill()
    for resume_it in (False, True):
        journal.running.clear()
        result = lithops_magic.attach(job_id, resume=resume_it, settings=SETTINGS)
        assert result.wait(120)
        visits.gate.set()
    assert list(result.succeeded().values()) == [x * 10 for x in range(8) if x != 1]


class CutBehind(FaultyLambda):
    """A connection that breaks when the function has run."""

    def send(self, payload: bytes, done: Callable[[Outcome], None]) -> None:
        super().send(payload, lambda outcome: done(Ambiguous("reset") if self.fault([-1]) else outcome))


@pytest.mark.parametrize("kept_there", [True, False])
def test_a_result_behind_a_broken_connection_is_found_and_not_computed_again(
    objects: ObjectStore, local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch, kept_there: bool
) -> None:
    for name, value in worker_environment(local_aws).items():
        monkeypatch.setenv(name, value)
    cuts = iter([object()])
    backend = CutBehind(lambda ids: next(cuts, None) if ids == [-1] else None, store=objects, workers=1)  # type: ignore[arg-type, return-value]
    job = Job(MapOptions(keep_after=1e-4 if kept_there else 60), str, 3)
    Scheduler(job, Function.pickle(lambda x: time.sleep(0.01) or x), Source([0, 1, 2]), backend).start()
    result = MapResult(job)
    assert result.wait(120)
    assert list(result) == [0, 1, 2]
    assert backend.runs.total() == (3 if kept_there else 4)
    assert result.snapshot().retried == (0 if kept_there else 1)


def worker_environment(local_aws: LocalAws) -> dict[str, str]:
    return {
        "AWS_REGION": local_aws.region,
        "AWS_ACCESS_KEY_ID": local_aws.access_key_id,
        "AWS_SECRET_ACCESS_KEY": local_aws.secret_access_key,
        "AWS_ENDPOINT_URL": local_aws.endpoint_url,
    }


def test_an_error_that_is_to_be_retried_is_not_the_outcome_that_stays(objects: ObjectStore, tmp_path: Path) -> None:
    def at_last(x: int) -> int:
        import os

        name = f"/tmp/tried-{x}-{os.getppid()}"
        if not os.path.exists(name):  # noqa: PTH110
            open(name, "w").close()  # noqa: PTH123
            raise RuntimeError("not yet")
        return x

    options = {"settings": SETTINGS, "workers": 1, "keep_after": 0.0, "errors": "keep", "background": True}
    for retried in (True, False):
        result = lithops_magic.map(at_last, [time.time_ns()], retry_errors=retried, **options)
        assert result.wait(120)
        kept_ones = [key for key in objects.list(f"lithops-magic/jobs/{result.job_id}/") if key.endswith("/0")]
        assert len(kept_ones) == 1
        assert (b"not yet" in objects.get(kept_ones[0])) == (not retried)
