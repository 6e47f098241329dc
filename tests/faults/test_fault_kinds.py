"""Each fault by itself, through a real socket: what it costs a task, and that nothing runs twice which must not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import fault_kinds
from fault_job import Counted
from fault_proxy import FaultProxy, Play, Rule, name_of
from lithops_magic.aws.invoke import sender
from lithops_magic.errors import TaskLost

ITEMS = range(14)
RIGHT = [item * item for item in ITEMS]


@pytest.mark.parametrize("play", fault_kinds.REFUSED, ids=name_of)
def test_what_was_not_executed_is_sent_again_and_costs_no_attempt(
    play: Play, proxy: FaultProxy, counted: Callable[[], Counted]
) -> None:
    job = counted()
    proxy.reset(Rule(play, most=3))
    result = job.run(ITEMS, chunksize=1, retries=0, workers=8)
    assert proxy.seen[name_of(play)] == result.snapshot().throttled == 3
    assert list(result) == RIGHT
    assert {stats.attempts for stats in result.stats} == {1}
    assert job.executions() == dict.fromkeys(ITEMS, 1)


@pytest.mark.parametrize("play", fault_kinds.LOST_UNEXECUTED + fault_kinds.LOST_EXECUTED, ids=name_of)
def test_what_may_have_been_executed_is_sent_again_only_if_it_may_run_twice(
    play: Play, proxy: FaultProxy, counted: Callable[[], Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    executed = play in fault_kinds.LOST_EXECUTED
    if "hang" in name_of(play):
        # The client waits for four seconds: on a busy machine, other answers take long, too.
        monkeypatch.setattr(sender, "ANSWER_MARGIN", 1.0)
    once, again = counted(), counted()

    proxy.reset(Rule(play, most=4))
    result = once.run(ITEMS, chunksize=1, retries=0, workers=8)
    lost = set(result.errors)
    assert len(lost) == proxy.seen[name_of(play)] == 4
    assert {type(error) for error in result.errors.values()} == {TaskLost}
    assert list(result.succeeded().values()) == [item * item for item in ITEMS if item not in lost]
    assert once.executions() == {item: 1 for item in ITEMS if executed or item not in lost}

    proxy.reset(Rule(play, most=4))
    result = again.run(ITEMS, chunksize=1, retries=4, workers=8)
    assert list(result) == RIGHT
    assert result.snapshot().retried == proxy.seen[name_of(play)] == 4
    runs = again.executions()
    assert set(runs) == set(ITEMS)
    assert runs.total() - len(ITEMS) == (4 if executed else 0)


@pytest.mark.parametrize("play", fault_kinds.HARMLESS, ids=name_of)
def test_a_slow_or_departing_endpoint_loses_nothing(
    play: Play, proxy: FaultProxy, counted: Callable[[], Counted]
) -> None:
    job = counted()
    proxy.reset(Rule(play))
    assert list(job.run(ITEMS, chunksize=1, retries=0, workers=8)) == RIGHT
    assert proxy.seen[name_of(play)] == len(ITEMS)
    proxy.reset()
    assert job.executions() == dict.fromkeys(ITEMS, 1)
