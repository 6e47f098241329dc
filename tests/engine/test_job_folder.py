"""What is kept of a job on this machine: plain data that survives damage, trusted only if private, without secrets."""

from __future__ import annotations

import json
import os
import random
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lithops_magic
from durable_help import SETTINGS, eventually
from lithops_magic.aws.invoke.outcomes import Ambiguous, Reply
from lithops_magic.aws.invoke.report import InvocationReport
from lithops_magic.engine.backend.aws_lambda import LambdaBackend
from lithops_magic.engine.backend.endpoint import Endpoint
from lithops_magic.engine.durable import journal, kept_results, lines, records
from lithops_magic.engine.durable.folder import FORMAT, JobFolder, State
from lithops_magic.errors import JobInterrupted, LocalAWSError, UnknownJob, UnreadableJob
from recording import record_every_job
from thorough import share

SHORT = SETTINGS.replace(timeout=3)
"""What is missing is looked for in S3 for as long as a task may take."""


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    record_every_job(monkeypatch)
    monkeypatch.setattr(kept_results, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(kept_results, "MARGIN", 0.5)


def finished(function: Callable[[Any], Any], items: Any, **options: Any) -> JobFolder:
    """Run a job, and return its folder as another process finds it."""
    result = lithops_magic.map(function, items, **{"settings": SETTINGS, "keep_after": 60.0, **options})
    # The result is there before its journal may be.
    eventually(lambda: any(each.path.name == result.job_id for each in JobFolder.all()))
    folder = JobFolder.find(result.job_id)
    eventually(lambda: folder.state().state == "finished")
    journal.running.clear()
    eventually(lambda: not folder.locked)
    return folder


def attached(folder: JobFolder, **options: Any) -> lithops_magic.MapResult:
    result = lithops_magic.attach(folder.path.name, **{"settings": SETTINGS, **options})
    assert result.wait(120)
    journal.running.clear()
    return result


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(records.Sent, st.tuples(st.integers(0, 99))),
            st.builds(records.SingleItem, st.integers(0, 99), st.binary()),
            st.builds(records.ItemCount, st.integers(0, 99)),
            st.builds(lambda n, b: records.ItemSlice(n, 1, b, {0: "why"}), st.integers(0, 99), st.binary()),
            st.builds(lambda b, t: records.Executed((1, 2), Reply(b, t or None, "", t, None)), st.binary(), st.text()),
            st.builds(lambda t: records.Executed((3,), Ambiguous(t)), st.text()),
            st.just(records.Executed((4,), Reply(b"{}", None, "", "", InvocationReport(1.5, 2, 3, 4, None)))),
            # Large data are pieces of their own.
            st.builds(lambda b: records.SingleItem(5, b * 70_000), st.sampled_from([b"x", b"\n", b"\t"])),
        )
    ),
    st.randoms(use_true_random=False),
)
def test_a_flipped_bit_costs_the_records_it_is_in_and_no_other(written: list[records.Record], chance: Any) -> None:
    encoded = [b"".join(records.encode([record])) for record in written]
    data = bytearray(b"".join(encoded))
    found = lines.decode(bytes(data))
    assert [records._decode(*body) for body in found.bodies] == written
    if not data:
        return
    position = chance.randrange(len(data))
    data[position] ^= 1 << chance.randrange(8)
    flipped = lines.decode(bytes(data))
    left = [records._decode(*body) for body in flipped.bodies]
    assert len(left) >= len(written) - 2
    remaining = iter(written)
    assert all(any(record == other for other in remaining) for record in left)


@pytest.mark.parametrize("iterator", [False, True])
def test_values_beside_a_damaged_record_are_all_there(local_aws: Any, iterator: bool) -> None:
    items = [f"item {x}" for x in range(60)]
    folder = finished(lambda x: x * 2, iter(items) if iterator else items, chunksize=5, settings=SHORT)
    good = folder.journal.read_bytes()
    chance = random.Random(1)
    for _ in range(share(2, 6)):
        data = bytearray(good)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        folder.journal.write_bytes(data)
        result = attached(folder, settings=SHORT)
        known = {i: result._job.ledger.values[i] for i in result._indices("done")}
        assert len(known) >= len(items) - 10
        assert known == {i: items[i] * 2 for i in known}
        assert any("record" in note and "cannot be read" in note for note in result.snapshot().notes)
    resumed = attached(folder, resume=True, settings=SHORT)
    assert len(resumed._indices("done")) >= len(items) - 1
    assert all("damaged" in str(error) for error in resumed.errors.values())


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: damage(folder.path / "job"), "is damaged"),
        (lambda folder: (folder.path / "job").write_bytes(b""), "is damaged"),
        (lambda folder: (folder.path / "job").write_bytes(b'{"id":"' + bytes(99)), "is damaged"),
        (lambda folder: (folder.path / "job").write_bytes(lines.encode([1])), "is damaged"),
        (
            lambda folder: folder.write("job", lines.encode({"format": FORMAT, "id": folder.path.name})),
            "cannot be read",
        ),
        (lambda folder: folder.write("job", lines.encode({"format": 99, "id": folder.path.name})), "another version"),
        (lambda folder: (folder.path / "job").rename(folder.path / "manifest.json"), "an older version"),
    ],
)
def test_a_job_that_cannot_be_read_is_said_and_hides_no_other(
    local_aws: Any, spoil: Callable[[JobFolder], Any], says: str
) -> None:
    good = finished(lambda x: x, [1, 2])
    bad = finished(lambda x: x, [3])
    spoil(bad)
    found = {job.id: job for job in lithops_magic.jobs()}
    assert found[good.path.name].state == "finished"
    assert found[bad.path.name].state == "unreadable"
    assert says in found[bad.path.name].label
    with pytest.raises(UnreadableJob, match=says) as caught:
        lithops_magic.attach(bad.path.name, settings=SETTINGS)
    assert isinstance(caught.value, UnknownJob)
    assert "\n" not in str(caught.value)
    assert list(attached(good)) == [1, 2]


def test_a_damaged_function_or_state_costs_only_what_needs_it(local_aws: Any) -> None:
    folder = finished(lambda x: x + 1, [1, 2])
    damage(folder.function)
    damage(folder.path / "state")
    assert list(attached(folder)) == [2, 3]
    with pytest.raises(JobInterrupted, match="function is damaged"):
        lithops_magic.attach(folder.path.name, resume=True, settings=SETTINGS)
    assert [job.total for job in lithops_magic.jobs()] == [None]


def last_byte(_: int) -> int:
    return Path("large.bin").read_bytes()[-1]


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the working folder that does not travel with every invocation."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path = folder / "large.bin"
    path.write_bytes(random.Random(0).randbytes(3_000_000) + b"\7")
    return path


def test_files_lie_beside_the_job_and_are_those_of_then_when_it_is_resumed(local_aws: Any, large: Path) -> None:
    folder = finished(last_byte, [1, 2], files="large.bin")
    assert (folder.path / "job").stat().st_size < 100_000
    large.write_bytes(b"\10")
    # As if the client had been killed before it heard anything.
    found = [records._decode(*body) for body in lines.decode(folder.journal.read_bytes()).bodies]
    left = [each for each in found if not isinstance(each, records.Sent | records.Executed)]
    folder.journal.write_bytes(b"".join(records.encode(left)))
    assert list(attached(folder, resume=True)) == [7, 7]


def test_damaged_files_cost_only_the_resuming(local_aws: Any, large: Path) -> None:
    folder = finished(last_byte, [1, 2], files="large.bin")
    damage(folder.sources)
    assert list(attached(folder)) == [7, 7]
    with pytest.raises(JobInterrupted, match="sources is damaged"):
        lithops_magic.attach(folder.path.name, resume=True, settings=SETTINGS)


@pytest.mark.parametrize("version", ["3.10", "3.99"])
def test_a_job_of_another_python_is_looked_at_and_not_resumed(local_aws: Any, version: str) -> None:
    folder = finished(lambda x: x + 1, [1, 2])
    folder.write("job", lines.encode({**folder.manifest(), "python": version}))
    with pytest.raises(JobInterrupted) as caught:
        lithops_magic.attach(folder.path.name, resume=True, settings=SETTINGS)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert str(caught.value) == (
        f"Job {folder.path.name} was started with Python {version} and cannot be resumed with {here}: its function was "
        f"pickled for that version. Resume it from a Python {version}, or attach without resume for its results."
    )
    assert not folder.locked
    assert list(attached(folder)) == [2, 3]


def test_what_is_written_down_is_shown_also_where_aws_is_out_of_reach(
    local_aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished(lambda x: x + 1, [1, 2])
    with folder.journal.open("ab") as journal:
        journal.write(lines.encode(["sent", [0]]))
    real = LambdaBackend.view

    def view(self: LambdaBackend, notify: Callable[[str], None], *, connected: bool) -> Endpoint:
        if connected:
            raise LocalAWSError("there is no way to it")
        return real(self, notify, connected=connected)

    monkeypatch.setattr(LambdaBackend, "view", view)
    result = attached(folder)
    assert list(result) == [2, 3]
    assert result.snapshot().notes == ("results in S3 cannot be read: there is no way to it",)


def test_a_state_from_the_future_is_not_waited_for(tmp_path: Path) -> None:
    folder = JobFolder.create("aa")
    folder.save_state(State(1, 0, 0, "running"))
    os.utime(folder.path / "state", (2**32, 2**32))
    assert folder.seen <= time.time()
    folder.unlock()


def _others_may_write(folder: Path) -> None:
    folder.chmod(0o777)


def _a_link(folder: Path) -> None:
    elsewhere = folder.parent.parent / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)


def _shared(folder: Path) -> None:
    folder.parent.chmod(0o770)


def _function_of_others(folder: Path) -> None:
    (folder / "job").chmod(0o666)


@pytest.mark.skipif(os.name == "nt", reason="Windows guards the user's profile by itself")
@pytest.mark.parametrize("expose", [_others_may_write, _a_link, _shared, _function_of_others])
def test_nothing_is_unpickled_from_where_others_can_write(
    local_aws: Any, expose: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished(lambda x: x, [1])
    expose(folder.path)
    unpickled: list[bytes] = []
    monkeypatch.setattr("lithops_magic.worker.packing.loads", unpickled.append)
    for resume in (False, True):
        with pytest.raises(UnreadableJob, match="is not trusted"):
            lithops_magic.attach(folder.path.name, resume=resume, settings=SETTINGS)
    assert not unpickled
    assert [job.state for job in lithops_magic.jobs()] == ["unreadable"]


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="needs a second user")
def test_a_folder_of_another_user_is_not_trusted(local_aws: Any) -> None:
    folder = finished(lambda x: x, [1])
    os.chown(folder.path, 12345, 12345)
    with pytest.raises(UnreadableJob, match="is not trusted"):
        lithops_magic.attach(folder.path.name, settings=SETTINGS)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(local_aws: Any) -> None:
    folder = finished(lambda x: x, [1])
    (folder.path / "job").unlink()
    os.mkfifo(folder.path / "job", 0o600)
    assert [job.state for job in lithops_magic.jobs()] == ["unreadable"]


def test_values_of_environment_variables_are_not_written_down(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(_: int) -> tuple[str | None, str | None]:
        import os

        return os.environ.get("TOKEN_OF_TASK"), os.environ.get("TOKEN_OF_SETTINGS")

    own = SHORT.replace(env_vars={"TOKEN_OF_SETTINGS": "sesame-of-settings"})
    folder = finished(seen, [0, 1], env={"TOKEN_OF_TASK": "sesame-of-task"}, settings=own)
    result = attached(folder, settings=own)
    assert list(result) == [("sesame-of-task", "sesame-of-settings")] * 2
    for path in folder.path.iterdir():
        if path.name != "journal":  # which has what the tasks returned
            assert b"sesame" not in path.read_bytes()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(line for line in written if b'"reply"' not in line))
    with pytest.raises(JobInterrupted, match="TOKEN_OF_TASK"):
        lithops_magic.attach(folder.path.name, resume=True, settings=own)
    with pytest.raises(JobInterrupted, match="TOKEN_OF_TASK"):
        attached(folder, resume=True, settings=own, env={"TOKEN_OF_TASK": "another"})
    monkeypatch.setenv("TOKEN_OF_SETTINGS", "sesame-of-settings")
    resumed = attached(folder, resume=True, env={"TOKEN_OF_TASK": "sesame-of-task"})
    assert list(resumed) == [("sesame-of-task", "sesame-of-settings")] * 2


def test_no_class_of_ours_is_named_in_what_is_written(local_aws: Any) -> None:
    folder = finished(lambda x: x, [1, threading.Lock(), "text"], errors="keep")
    written = b"".join(path.read_bytes() for path in folder.path.iterdir() if path != folder.function)
    assert b"lithops_magic." not in written
    json.loads((folder.path / "job").read_bytes()[9:])
