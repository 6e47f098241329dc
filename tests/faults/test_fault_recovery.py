"""What goes away and comes back: the endpoint, a sandbox, the function; and what a job leaves behind: nothing."""

from __future__ import annotations

import gc
import operator
import os
import re
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import fault_kinds
import lithops_magic
from fault_job import MOUNT, Counted
from fault_proxy import FaultProxy, Rule
from lithops_magic.aws.invoke import sender
from lithops_magic.aws.invoke.outcomes import NoConnection, Outcome
from lithops_magic.config import Settings
from lithops_magic.engine.backend import aws_lambda
from lithops_magic.engine.backend.allowance import FunctionCopy
from lithops_magic.engine.backend.connection import Link
from lithops_magic.engine.job.job import Job
from waiting import eventually

ITEMS = range(60)
RIGHT = [item * item for item in ITEMS]


@pytest.fixture
def turned_away(monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """What the engine is told of invocations that were not executed."""
    told: list[Outcome] = []
    original = Link.turned_away

    def turned_away(self: Link, outcome: Any, copy: FunctionCopy) -> None:
        told.append(outcome)
        original(self, outcome, copy)

    monkeypatch.setattr(Link, "turned_away", turned_away)
    return told


def test_an_endpoint_that_comes_back_is_waited_for(
    proxy: FaultProxy, counted: Callable[[], Counted], turned_away: list[Outcome]
) -> None:
    job = counted()

    def items() -> Iterator[int]:
        yield from ITEMS[:20]
        while result.snapshot().done < 20:
            time.sleep(0.01)
        proxy.down()
        yield from ITEMS[20:]

    # What is sent before the client knows that a connection has ended may have been executed, for all it knows.
    result = job.start(items(), retries=1, workers=8)
    assert eventually(lambda: len(turned_away) >= 3)
    assert {type(outcome) for outcome in turned_away} == {NoConnection}
    assert not result.done()
    proxy.up()
    assert result.wait(120)
    assert list(result) == RIGHT
    assert job.executions() == dict.fromkeys(ITEMS, 1)


def test_what_was_in_flight_when_the_endpoint_went_away_is_tried_again(
    proxy: FaultProxy, counted: Callable[[], Counted]
) -> None:
    job = counted()
    proxy.reset(Rule(fault_kinds.hang_executed, after=20, most=4))
    result = job.start(ITEMS, chunksize=1, workers=4)
    assert eventually(lambda: proxy.seen["hang_executed"] == 4)
    proxy.down()
    assert eventually(lambda: result.snapshot().retried >= 4)
    proxy.up()
    assert result.wait(120)
    assert list(result) == RIGHT
    assert job.executions() == {item: 1 + proxy.lost[item] for item in ITEMS}


def _holder(server: int, name: str) -> psutil.Process | None:
    """The process below the local AWS that has a file of that name open."""
    for process in psutil.Process(server).children(recursive=True):
        try:
            links = [link.readlink().name for link in Path(f"/proc/{process.pid}/fd").iterdir()]
        except OSError:
            continue
        if name in links:
            return process
    return None


def test_a_sandbox_killed_amid_a_task_costs_that_task_one_attempt(
    proxy: FaultProxy, counted: Callable[[], Counted], account: Settings, local_aws: Any
) -> None:
    job = counted()
    marker = f"{job.name}-running"

    def square(item: int) -> int:
        folder = os.environ.get("LAMBDA_MOUNT_TALLY", MOUNT)
        with open(f"{folder}/{job_name}", "ab", buffering=0) as tally:  # noqa: PTH123
            tally.write(b"%d\n" % item)
        if item == 30 and not os.path.exists(f"{folder}/{marker}"):  # noqa: PTH110
            with open(f"{folder}/{marker}", "w"):  # noqa: PTH123
                time.sleep(60)
        return item * item

    job_name = job.name
    result = lithops_magic.map(
        square, ITEMS, settings=account, chunksize=1, retries=1, workers=4, timeout=30, background=True
    )
    assert eventually(lambda: _holder(local_aws.pid, marker) is not None)
    holder = _holder(local_aws.pid, marker)
    assert holder is not None
    holder.send_signal(signal.SIGKILL)
    assert result.wait(120)
    assert list(result) == RIGHT
    assert [stats.attempts for stats in result.stats] == [2 if item == 30 else 1 for item in ITEMS]
    assert job.executions() == {item: 2 if item == 30 else 1 for item in ITEMS}


def test_a_function_deleted_amid_the_job_is_deployed_again(
    proxy: FaultProxy, counted: Callable[[], Counted], local_aws: Any
) -> None:
    job = counted()
    client = local_aws.client("lambda")

    def items() -> Iterator[int]:
        yield from ITEMS[:20]
        while result.snapshot().done < 20:
            time.sleep(0.01)
        for function in local_aws.functions():
            if function["FunctionName"].startswith("lithops-magic-faults-"):
                client.delete_function(FunctionName=function["FunctionName"])
        yield from ITEMS[20:]

    result = job.start(items(), retries=0, workers=8)
    assert result.wait(120)
    assert list(result) == RIGHT
    assert job.executions() == dict.fromkeys(ITEMS, 1)


def test_a_deployment_whose_answers_get_lost_succeeds(proxy: FaultProxy, account: Settings) -> None:
    proxy.reset(
        Rule(fault_kinds.reset_after_execution, most=1, match=re.compile(rb"POST /2015-03-31/functions ")),
        Rule(fault_kinds.no_answer, most=1, match=re.compile(rb"GET /2016-08-19/account-settings")),
        Rule(
            fault_kinds.answering("503", fault_kinds.response(503)),
            most=1,
            match=re.compile(rb"GET /2015-03-31/functions/"),
        ),
    )
    settings = account.replace(namespace="faults-deployed")
    assert list(lithops_magic.map(lambda x: x + 1, range(5), settings=settings)) == [1, 2, 3, 4, 5]
    assert {"reset_after_execution", "no_answer", "503"} <= set(proxy.seen)


def _threads() -> int:
    """Threads of this process, awscrt's included."""
    return len(list(Path("/proc/self/task").iterdir()))


def _files() -> int:
    """Open files and sockets of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def _broken_items() -> Iterator[int]:
    yield from ITEMS
    raise OSError("disk on fire")


@pytest.mark.parametrize("ending", ["finished", "cancelled", "refused", "broken"])
def test_nothing_is_left_behind(
    ending: str,
    proxy: FaultProxy,
    counted: Callable[[], Counted],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(sender, "ANSWER_MARGIN", -1.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    job = counted()
    ended: list[weakref.ref[Job]] = []

    def run() -> None:
        storm = [Rule(play, rate=0.02) for play in fault_kinds.LOST_UNEXECUTED + fault_kinds.LOST_EXECUTED]
        refusal = [Rule(fault_kinds.refusing(403, "AccessDeniedException", "No."), after=30)]
        hanging = Rule(fault_kinds.hang_unexecuted, after=10, most=3)
        proxy.reset(*(refusal if ending == "refused" else []), *storm, hanging, seed=3)
        result = job.start(_broken_items() if ending == "broken" else ITEMS, chunksize=1, retries=5, workers=16)
        if ending == "cancelled":
            assert eventually(lambda: hanging.played == 3)
            result.cancel()
        assert result.wait(120)
        assert result.snapshot().state == {"refused": "broken"}.get(ending, ending)
        ended.append(weakref.ref(result._job))

    def left() -> tuple[int, int, int, int]:
        # Deployed functions are kept for the next job, and with them boto3's clients and their connections.
        aws_lambda._deployments.clear()
        # Behind many other tests a collection takes long, and most of what is waited for ends without one.
        time.sleep(0.2)
        gc.collect()
        return sum(job() is not None for job in ended), proxy.connections, _threads(), _files()

    job.run(ITEMS[:1])
    assert eventually(lambda: left()[:2] == (0, 0))
    before, names = left(), {thread.name for thread in threading.enumerate()}
    processes = psutil.Process().children(recursive=True)
    run()
    assert eventually(lambda: all(map(operator.le, left(), before))), (left(), before)
    # The connections that are kept for another second have a thread as well.
    assert eventually(lambda: {thread.name for thread in threading.enumerate()} <= names), threading.enumerate()
    assert set(psutil.Process().children(recursive=True)) <= set(processes)
    assert list(tmp_path.iterdir()) == []
