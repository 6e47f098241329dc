"""The client's process is killed amid a job in a storm of faults, and another process goes on with it."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fault_kinds
import lithops_magic
from fault_job import Counted
from fault_proxy import FaultProxy, Rule
from lithops_magic.aws.invoke import sender
from lithops_magic.config import Settings
from lithops_magic.engine.durable import kept_results
from lithops_magic.errors import TaskLost
from waiting import eventually

ITEMS = range(400)
CLIENT = """
import pickle, sys
sys.path[:0] = sys.argv[1:]
from lithops_magic.aws.invoke import sender
from lithops_magic.engine.durable import journal

sender.ANSWER_MARGIN, journal.AFTER, journal.PERIOD = -1.0, 0.05, 0.05
job, items, options = pickle.load(sys.stdin.buffer)
result = job.start(items, **options)
print(result.job_id, flush=True)
result.wait()
"""


def storm(proxy: FaultProxy, seed: int) -> None:
    faults = fault_kinds.LOST_UNEXECUTED + fault_kinds.LOST_EXECUTED + fault_kinds.SHORT_PAUSES
    proxy.reset(*(Rule(play, rate=0.01) for play in faults), seed=seed)


def killed(proxy: FaultProxy, job: Counted, **options: Any) -> str:
    """Run a job in a process that is killed after a quarter of it; return its id once nothing of it runs any more."""
    storm(proxy, seed=4)
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(Path(__file__).parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        pickle.dump((job, ITEMS, options), client.stdin)
        client.stdin.close()
        job_id = client.stdout.readline().decode().strip()
        assert eventually(lambda: proxy.seen.total() >= len(ITEMS) // 4)
        client.send_signal(signal.SIGKILL)
    proxy.reset()
    assert eventually(lambda: is_quiet(job))
    return job_id


def is_quiet(job: Counted) -> bool:
    """Whether no task has begun for a second: what a killed process had sent is executed all the same."""
    before = job.executions()
    time.sleep(1)
    return job.executions() == before


@pytest.mark.parametrize("retries", [0, 9])
def test_a_killed_client_loses_nothing(
    retries: int,
    account: Settings,
    proxy: FaultProxy,
    counted: Callable[[], Counted],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(sender, "ANSWER_MARGIN", -1.0)
    monkeypatch.setattr(kept_results, "MARGIN", 0.5)
    job = counted()
    job_id = killed(proxy, job, chunksize=1, retries=retries, workers=16)
    # On a busy machine, counting runs is a job long enough to be recorded as well.
    record = next(job for job in lithops_magic.jobs() if job.id == job_id)
    assert record.state == "interrupted"
    assert 0 < record.done < len(ITEMS)
    before = job.executions().total()

    storm(proxy, seed=5)
    result = lithops_magic.attach(job_id, resume=True, settings=account)
    assert result.wait(120)
    assert {type(error) for error in result.errors.values()} <= {TaskLost}
    assert list(result.succeeded().values()) == [item * item for item in ITEMS if item not in result.errors]
    lost = proxy.lost.total()
    proxy.reset()
    runs = job.executions()
    if retries:
        assert not result.errors
        # What the first process had not written down yet is run again, and nothing else is.
        assert runs.total() <= before + len(ITEMS) - record.done - record.failed + lost
    else:
        assert set(runs.values()) == {1}
        assert set(ITEMS) - set(runs) <= set(result.errors)
