"""All faults at once, over some thousand tasks; `benchmarks/chaos.py` measures the same with ten thousand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import fault_kinds
from fault_job import Counted
from fault_proxy import FaultProxy, Rule, name_of
from lithops_magic.aws.invoke import sender
from lithops_magic.errors import TaskLost
from thorough import share

SHARE = 0.01
LOSING = fault_kinds.LOST_UNEXECUTED + fault_kinds.LOST_EXECUTED
ALL = fault_kinds.SHORT_PAUSES + LOSING + fault_kinds.HARMLESS


def storm(proxy: FaultProxy, seed: int) -> None:
    proxy.reset(*(Rule(play, rate=SHARE) for play in ALL), seed=seed)


@pytest.fixture(autouse=True)
def _short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "ANSWER_MARGIN", -1.0)


def test_thousands_of_tasks_all_come_back_right(proxy: FaultProxy, counted: Callable[[], Counted]) -> None:
    job, items = counted(), range(share(2_000, 10_000))
    storm(proxy, seed=1)
    # 14 % of the answers are lost: the tenth attempt of any of 10,000 tasks is lost once in 30,000 such jobs. In the
    # thousand invocations of the small job, one of the faults does not occur once in some thousand such jobs.
    result = job.run(items, chunksize=share(2, 4), retries=9, workers=16)
    assert list(result.succeeded().values()) == [item * item for item in items]
    assert not result.errors
    assert all(proxy.seen[name_of(play)] for play in ALL), proxy.seen
    lost = proxy.lost
    proxy.reset()
    runs = job.executions()
    assert set(runs) == set(items)
    # On a busy machine, an answer may be late that the proxy did not lose: then the client knows of one attempt more.
    attempts = [stats.attempts for stats in result.stats]
    assert {item: count for item, count in runs.items() if count > max(1 + lost[item], attempts[item])} == {}


def test_without_retries_no_task_runs_twice_and_each_one_lost_is_told(
    proxy: FaultProxy, counted: Callable[[], Counted]
) -> None:
    job, items = counted(), range(share(600, 2_000))
    storm(proxy, seed=2)
    result = job.run(items, retries=0, workers=16)
    assert {type(error) for error in result.errors.values()} == {TaskLost}
    assert list(result.succeeded().values()) == [item * item for item in items if item not in result.errors]
    # Of a connection that is reset early the client may still know that nothing was sent, and send it again.
    lost = [play for play in LOSING if play is not fault_kinds.reset_before_body]
    assert len(result.errors) >= sum(proxy.seen[name_of(play)] for play in lost) > 0
    proxy.reset()
    runs = job.executions()
    assert set(runs.values()) == {1}
    assert set(items) - set(runs) <= set(result.errors)
