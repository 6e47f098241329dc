"""What is done with a result after its job: retried, debugged, tabulated, drawn, searched. Real jobs, local AWS."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lithops_magic.config import Settings
from lithops_magic.engine import MapResult, api
from lithops_magic.engine.job.ledger import Ledger
from lithops_magic.engine.result.data_frame import to_frame
from lithops_magic.errors import BudgetSpent, MisuseError, NoSuchTask, SerializationError, TaskError

pytestmark = pytest.mark.usefixtures("local_aws")


def lmap(function: Callable[[Any], Any], items: Any, **options: Any) -> MapResult:
    return api.map(function, items, settings=Settings(local=True, memory=256), **{"errors": "keep", **options})


def test_a_retry_runs_only_what_is_missing_and_fills_the_same_result() -> None:
    bad = {3, 17}  # travels with the function, so that a retry meets what it is by then

    def task(x: int) -> tuple[int, str, str | None]:
        print("run", x)
        if x in bad:
            raise KeyError(x)
        return x, os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], os.environ.get("WEATHER")

    result = lmap(task, range(20))
    first = result.snapshot()
    early = result.futures[3]
    bad.remove(3)
    assert result.retry(memory=512, env={"WEATHER": "better"}) is result
    assert result[3] == (3, "512", "better")
    assert {value[1] for value in list(result.succeeded().values())} == {"256", "512"}
    assert list(result.errors) == [17]
    assert result.errors[17].index == 17
    assert "run 17" in result.logs(17)
    second = result.snapshot()
    assert (second.done, second.failed, second.total, second.queued, second.memory_mb) == (19, 1, 20, 0, 512)
    assert second.invocations > first.invocations
    assert second.elapsed > first.elapsed
    assert result.cost > first.cost + first.request_cost
    assert [stats.attempts for stats in result.stats] == [2 if x in (3, 17) else 1 for x in range(20)]
    assert result.stats[3].started_s > max(stats.ended_s for stats in result.stats if stats.index not in (3, 17))
    assert sorted(future.index for future in result.as_completed()) == list(range(20))
    assert isinstance(early.exception(), KeyError)
    assert result.futures[3].result() == (3, "512", "better")
    bad.clear()
    assert len(list(result.retry(errors="raise"))) == 20
    spent = result.snapshot().invocations
    assert result.retry().snapshot().invocations == spent


@pytest.mark.parametrize("kind", [list, iter])
def test_a_stopped_job_goes_on_and_raises_as_the_map_did(kind: Callable[[Any], Any]) -> None:
    bad = {1}

    def task(x: int) -> float:
        return 1 / (0 if x in bad else x + 1)

    result = lmap(task, kind(range(6)), background=True, errors="raise", chunksize=1, workers=1)
    next(result.as_completed())
    result.cancel()
    with pytest.raises(TaskError, match=rf"1 of {len(result)} tasks failed with ZeroDivisionError"):
        result.retry(workers=4)
    assert list(result.errors) == [1]
    bad.clear()
    assert list(result.retry()) == [1 / (x + 1) for x in range(len(result))]
    assert result.snapshot().state == "finished"


def test_a_budget_is_for_all_runs_of_a_job_together() -> None:
    result = lmap(lambda x: time.sleep(0.02) or x, range(60), max_cost=0.000004, background=True, chunksize=5)
    assert result.wait(120)
    assert 0 < len(list(result.succeeded().values())) < 60
    with pytest.raises(BudgetSpent, match=r"retry\(max_cost=…\)"):
        result.retry()
    assert "next    .retry() runs" in repr(result)
    assert list(result.retry(max_cost=1.0)) == list(range(60))


def test_what_cannot_be_retried_or_debugged_says_so_in_one_line() -> None:
    gate = threading.Event()

    def slowly() -> Iterator[int]:
        yield 1
        gate.wait(60)

    running = lmap(lambda x: x, slowly(), background=True)
    with pytest.raises(MisuseError, match=r"still running: wait\(\)"):
        running.retry()
    gate.set()
    assert running.wait(120)
    for changes, problem in (
        ({"memroy": 1}, "did you mean 'memory'"),
        ({"label": "x"}, "there is no option 'label'"),
        ({"memory": "much"}, "memory must be a whole number from 128 to 10,240 MB, not 'much'"),
        ({"memory": -1}, "memory must be a whole number from 128"),
        ({"env": 3}, "env must be names and values, such as {'DEBUG': '1'}, not 3"),
    ):
        with pytest.raises(MisuseError, match=re.escape(problem)):
            running.retry(**changes)
    with pytest.raises(MisuseError, match="item 0 was taken from an iterator and not kept; pass the items as a list"):
        running.debug(0)
    with pytest.raises(NoSuchTask, match="no task 9"):
        running.debug(9)


def test_debug_raises_here_in_the_users_own_frame_with_a_copy_of_the_item(capsys: pytest.CaptureFixture[str]) -> None:
    def task(record: dict[str, int]) -> float:
        record["seen"] = 1
        return record["a"] / record["b"]

    items = [{"a": 1, "b": 2}, {"a": 3, "b": 0}]
    result = lmap(task, items)
    with pytest.raises(ZeroDivisionError) as caught:
        result.debug(1)
    assert capsys.readouterr().out == "Task 1 runs here now, not on Lambda: {'a': 3, 'b': 0}\n"
    innermost = caught.traceback[-1].frame
    assert innermost.code.name == "task"
    assert innermost.f_locals["record"] == {"a": 3, "b": 0, "seen": 1}
    assert items[1] == {"a": 3, "b": 0}
    assert result.debug(-2) == 0.5


def test_debug_awaits_a_coroutine_also_where_a_loop_runs_already() -> None:
    async def task(x: int) -> int:
        await asyncio.sleep(0)
        return 7 // x

    result = lmap(task, [7])

    async def notebook() -> Any:
        return result.debug(0)

    assert asyncio.run(notebook()) == 1


def test_debug_of_an_item_that_cannot_be_sent_raises_why() -> None:
    result = lmap(lambda x: x, [threading.Lock()])
    assert isinstance(result.errors[0], SerializationError)
    with pytest.raises(TypeError, match="lock"):
        result.debug(0)


def test_logs_are_shown_as_printed_and_searched_over_all_tasks() -> None:
    def task(x: int) -> None:
        if x % 2:
            print(f"epoch 1\nloss {x / 10}")

    result = lmap(task, range(500), chunksize=100)
    assert result.logs(3) == "epoch 1\nloss 0.3\n"
    assert result.logs(2) == ""
    assert list(result.logs(5, grep="loss")) == [(5, "loss 0.5")]
    found = result.logs(grep=r"loss 0\.\d$")
    assert list(found) == [(x, f"loss {x / 10}") for x in range(1, 10, 2)]
    assert repr(found).splitlines()[:2] == ["5 lines with 'loss 0\\\\.\\\\d$' by 5 tasks", "[1] loss 0.1"]
    everything = repr(result.logs())
    assert everything.startswith("500 lines printed by 250 tasks\n[1] epoch 1\n[1] loss 0.1\n[3] epoch 1\n")
    assert everything.endswith("… and 300 more lines")
    assert len(result.logs()[2:]) == 498
    assert "250 tasks printed: .logs(1), .logs(grep=…)" in repr(result)
    with pytest.raises(MisuseError, match="is not a regular expression"):
        result.logs(grep="(")
    with pytest.raises(NoSuchTask):
        result.logs(500)


def test_a_frame_has_one_row_per_task_and_any_value_in_one_cell() -> None:
    def task(x: int) -> Any:
        return [[0, 1, 2], (1, 2), {"a": 1}, 1 / x if x == 3 else 1 / (x - 4)][min(x, 3)]

    result = lmap(task, range(5))
    assert list(result.to_frame().columns) == [
        *("item", "value", "error", "state", "duration_s", "max_memory_mb", "attempts", "cost_usd")
    ]
    frame = result.to_frame(full=True)
    assert list(frame.index) == list(range(5))
    assert list(frame.item) == list(range(5))
    assert frame.item.dtype == int
    assert frame.value[0] == [0, 1, 2]
    assert (frame.value[1], frame.value[2], frame.value[3]) == ((1, 2), {"a": 1}, 1 / 3)
    assert isinstance(frame.error[4], ZeroDivisionError)
    assert list(frame.state) == ["done"] * 4 + ["failed"]
    assert frame.cost_usd.sum() == pytest.approx(result.cost)
    assert ((frame.sent_s <= frame.started_s) & (frame.started_s <= frame.ended_s)).all()
    assert set(frame.memory_mb) == {256}
    assert 0 < (pd.Timestamp.now("UTC") - frame.attrs["began"]).total_seconds() < 600
    lazily = lmap(lambda x: x, iter(range(3))).to_frame()
    assert list(lazily.value) == [0, 1, 2]
    assert lazily.item.isna().all()


def test_one_failure_leaves_the_types_of_the_other_values() -> None:
    for values, dtype in (
        ([1, 2], "Int64"),
        ([True, False], "boolean"),
        ([1.5, 2.5], "float64"),
        (["a", "b"], None),
        ([1, "b"], "object"),
        ([2**70, 1], "object"),
    ):
        frame = lmap(lambda x: {}["k"] if x is None else x, [*values, None]).to_frame()  # type: ignore[index]
        assert dtype is None or frame.value.dtype == dtype
        assert frame.value.tolist()[:2] == values
        assert [type(one) for one in frame.value.tolist()[:2]] == [type(one) for one in values]
        assert frame.value.isna().tolist() == [False, False, True]


def test_without_pandas_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"to_frame\(\) needs pandas: .*pip install pandas"):
        to_frame(Ledger().table(), lmap(lambda x: x, []).snapshot(), int, [], {}, 0.0)


def test_a_real_job_is_drawn(tmp_path: Path) -> None:
    result = lmap(lambda x: 1 / x, range(12), chunksize=3)
    drawn = result.plot(path=tmp_path / "job.svg")
    assert "Timeline of 12 tasks on " in drawn.alt
    assert "1 failed" in drawn.alt
    assert (tmp_path / "job.svg").stat().st_size > 1000


def test_a_result_is_no_array_and_says_what_to_do() -> None:
    result = lmap(lambda x: x * x, range(4))
    assert result[np.int64(3)] == 9
    assert np.array(result).sum() == 14
    for wrong in ("a", [0, 1], np.array([True]), 1.0, None, (1, 2)):
        with pytest.raises(TypeError, match=r"numpy\.array\(result\)"):
            result[wrong]  # type: ignore[call-overload]
    with pytest.raises(IndexError, match="no task -5: the result has 4 tasks"):
        result[-5]
    with pytest.raises(AttributeError, match=r"no attribute 'mean'; its values are list\(result\)"):
        result.mean()  # type: ignore[attr-defined]


def test_attempts_that_were_lost_are_drawn_too() -> None:
    first_time = {1: True}

    def task(x: int) -> int:
        if first_time.get(x):
            raise OSError
        return x

    result = lmap(task, range(3))
    first_time.clear()
    result.retry()
    assert "Timeline of 3 tasks on " in result.plot("timeline").alt
    assert "0 failed, 1 lost and sent again" in result.plot("timeline").alt
    assert len(result.to_frame()) == 3
