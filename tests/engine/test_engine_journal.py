"""The journal: what it says after a crash, when it is full, and where it cannot be written."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lithops_magic
from durable_help import SETTINGS, Visits, eventually, visiting
from faulty_lambda import died
from lithops_magic.aws.invoke.outcomes import Ambiguous, Reply
from lithops_magic.aws.invoke.report import InvocationReport
from lithops_magic.aws.session import Cloud
from lithops_magic.aws.storage.objects import ObjectStore
from lithops_magic.engine.durable import folder as folders
from lithops_magic.engine.durable import journal, kept_results, records
from lithops_magic.engine.durable.folder import JobFolder, State
from lithops_magic.engine.durable.history import JobHistory
from lithops_magic.errors import ItemError, JobInterrupted
from recording import record_every_job


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    record_every_job(monkeypatch)
    monkeypatch.setattr(kept_results, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(kept_results, "MARGIN", 0.5)


@pytest.fixture
def visits() -> Iterator[Visits]:
    with visiting() as found:
        yield found


def written(result: lithops_magic.MapResult) -> JobFolder:
    """The folder of a job that is over, as another process would find it."""
    eventually(lambda: [job.state for job in lithops_magic.jobs()] == ["finished"])
    journal.running.clear()
    folder = JobFolder.find(result.job_id)
    # A job that was resumed is "finished" from before.
    eventually(lambda: not folder.locked)
    return folder


def answer(*tasks: int, status: str = "ok", seconds: float = 1.0) -> records.Executed:
    outcomes = [{"id": task, "status": status, "started": 0, "seconds": seconds, "log": ""} for task in tasks]
    payload = json.dumps({"sandbox": "s", "cold": True, "outcomes": outcomes}).encode()
    return records.Executed(
        tasks, Reply(payload, None, "", "", InvocationReport(1000.0 * len(tasks), 1000 * len(tasks), 512, 90))
    )


def told(written: list[records.Record]) -> records.Excerpt:
    return records.Excerpt(written, 0, 0)


def test_a_journal_that_was_cut_off_is_good_up_to_there_and_can_be_continued(local_aws: Any, visits: Visits) -> None:
    url = visits.url

    def visit(x: int) -> int:
        import urllib.request

        urllib.request.urlopen(f"{url}/{x}").close()
        return x * 10

    # On a busy machine a task may take longer than the usual 10 seconds, or long enough to keep its result in S3.
    settings = SETTINGS.replace(timeout=60)
    result = lithops_magic.map(visit, range(6), settings=settings, chunksize=1, workers=1, keep_after=2)
    folder = written(result)
    ObjectStore(Cloud.connect(SETTINGS), SETTINGS).delete_prefix(f"lithops-magic/jobs/{result.job_id}/")
    with folder.journal.open("r+b") as file:
        file.truncate(folder.journal.stat().st_size - 10)
    for _ in range(2):
        resumed = lithops_magic.attach(result.job_id, resume=True, settings=SETTINGS)
        assert resumed.wait(120)
        assert list(resumed) == list(result) == [x * 10 for x in range(6)]
        folder = written(resumed)
    assert visits.runs == Counter([*range(6), 5])


def test_a_full_journal_says_so_and_the_job_is_none_the_worse(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LIMIT", 4_000)
    monkeypatch.setattr(kept_results, "MARGIN", -9.0)  # of the function's ten seconds
    result = lithops_magic.map(lambda x: x, (x for x in range(300)), settings=SETTINGS, keep_after=0.01)
    assert list(result) == list(range(300))
    folder = written(result)
    assert folder.journal.stat().st_size <= 4_000
    attached = lithops_magic.attach(result.job_id, settings=SETTINGS)
    assert attached.wait(120)
    assert isinstance(attached.error, JobInterrupted)


def test_items_that_cannot_be_pickled_are_told_again(local_aws: Any) -> None:
    for items in ([1, threading.Lock(), 3], iter([1, threading.Lock(), 3])):
        result = lithops_magic.map(lambda x: x, items, settings=SETTINGS, errors="keep")
        written(result)
        attached = lithops_magic.attach(result.job_id, settings=SETTINGS)
        assert attached.wait(120)
        assert list(attached.succeeded().values()) == list(result.succeeded().values()) == [1, 3]
        assert isinstance(attached.errors[1], ItemError)
        shutil.rmtree(JobFolder.find(result.job_id).path)


def test_where_nothing_can_be_written_the_job_says_so_and_goes_on(
    local_aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path / "file"))
    result = lithops_magic.map(time.sleep, [0.3], settings=SETTINGS)
    assert list(result) == [None]
    assert any("its journal cannot be written" in note for note in result.snapshot().notes)


def test_old_and_large_folders_are_deleted_but_none_of_a_job_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "KEPT_BYTES", 500)
    running, over = JobFolder.create("aa"), JobFolder.create("bb")
    for folder in (running, over):
        folder.save_manifest({"id": folder.path.name})
        folder.write("journal", bytes(1_000))
        folder.save_state(State(1, 0, 0, "running"))
    over.unlock()
    latest = JobFolder.create("cc")
    latest.save_manifest({"id": "cc"})
    assert sorted(folder.path.name for folder in JobFolder.all()) == ["aa", "cc"]
    assert running.locked
    running.unlock()
    latest.unlock()


@pytest.mark.parametrize("seconds", [1.0, 0.0])  # Durations may be below the clock's resolution.
def test_answers_are_told_part_by_part_with_their_share_of_the_bill(seconds: float) -> None:
    lines = [records.Sent((0, 1, 2)), answer(0, 1, 2, seconds=seconds), records.Sent((3,)), answer(3)]
    recall = JobHistory.of(told(lines), once=False)
    first = recall.answer([0, 1, 3])
    assert isinstance(first, Reply)
    assert [outcome["id"] for outcome in json.loads(first.payload)["outcomes"]] == [0, 1]
    assert first.report is not None
    assert first.report.billed_ms == 2000
    assert recall.answer([1, 3, 2]) is not None
    assert [recall.answer([task]) is None for task in range(4)] == [True, True, False, True]


def test_lost_attempts_are_told_as_they_were_charged() -> None:
    crash = died("Runtime.ExitError", "Error: gone")
    lost = [
        records.Executed((0,), crash),
        records.Executed((1, 2), crash),
        records.Executed((3,), Ambiguous("reset")),
    ]
    recall = JobHistory.of(told([*lost, answer(4, 5, status="timeout")]), once=False)
    # Of several tasks that were lost together none was charged; beside others, one that was lost alone is sent alone.
    shared = recall.answer([0, 1])
    assert isinstance(shared, Reply)
    assert json.loads(shared.payload)["outcomes"] == []
    alone = recall.answer([0])
    assert isinstance(alone, Reply)
    assert alone.function_error == "Unhandled"
    assert recall.answer([1]) is None
    reset = recall.answer([3])
    assert isinstance(reset, Ambiguous)
    assert reset.message == "reset"
    assert recall.answer([4]) is not None
    assert recall.answer([5]) is None
    assert JobHistory.of(told(lost), once=True).answer([1]) is not None
