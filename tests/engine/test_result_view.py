"""What a result says beside its numbers: advice about memory, what can be done next, what an open table shows."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from lithops_magic.engine import MapOptions, MapResult
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.snapshot import Snapshot
from lithops_magic.engine.result.memory_advice import memory_advice
from lithops_magic.engine.result.summary import to_html, to_text
from lithops_magic.engine.result.task_costs import task_costs
from lithops_magic.engine.text import html
from lithops_magic.engine.text.html import table
from lithops_magic.engine.text.units import duration
from lithops_magic.engine.wire.item import Prepared
from lithops_magic.errors import MisuseError, TaskCrashed, TaskTimeout


@pytest.mark.parametrize(
    ("used", "memory", "advice"),
    [
        (18, 1769, ""),
        (412, 4096, ""),
        (1500, 1769, ""),
        (1700, 1769, ": close to the limit; memory=2176 is safer"),
        (9_500, 10_000, ": close to the limit; memory=10240 is safer"),
        (10_000, 10_240, ": close to AWS's maximum; make tasks smaller"),
    ],
)
def test_advice_about_memory_only_where_there_is_something_to_do(used: int, memory: int, advice: str) -> None:
    assert memory_advice(used, memory) == f"{used:,} of {memory:,} MB{advice}"


def test_costs_follow_memory_and_time_and_add_up() -> None:
    table = {"billed_ms": [100, 100, 0], "memory_mb": [1000, 3000, 0], "attempts": [1, 3, 0]}
    costs = task_costs(table, Snapshot(cost=4.0, request_cost=0.4))
    assert costs == pytest.approx([1.1, 3.3, 0.0])
    assert task_costs({name: [0] for name in table}, Snapshot()) == [0.0]


def job(count: int) -> Job:
    return Job(MapOptions(), str, count, lambda x: x, [f"item {index}" for index in range(count)])


def test_a_stopped_result_says_how_to_go_on() -> None:
    made = job(5)
    made.start_rerun = lambda *_: made
    tasks = [task for index in range(5) if (task := made.add(f"item {index}"))]
    made.submit(tasks[:2], 256)
    made.record([], [], [(tasks[0], "value", "one line\n")])
    made.fail(tasks[1], TaskTimeout("gone", index=1))
    assert "  next    " not in to_text(MapResult(made))
    made.cancel()
    shown = to_text(MapResult(made))
    assert "  next    .retry() runs 4 tasks · .debug(1) runs one here, for %debug" in shown
    assert "  logs    1 task printed: .logs(0), .logs(grep=…)" in shown
    shown = to_html(MapResult(made))
    assert "item 1" in shown
    assert shown.index("gone") < shown.index(">0</td>")


def test_several_lines_of_one_kind_are_named_once() -> None:
    made = job(2)
    for index in range(2):
        task = made.add(index)
        assert task
        made.submit([task], 256)
        made.fail(task, TaskCrashed(f"kind {index}", index=index))
    made.end()
    lines = to_text(MapResult(made)).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("  errors  "))
    assert lines[first + 1].startswith("          1 of 2 tasks failed with TaskCrashed: kind 1")


def test_a_table_escapes_its_cells_and_aligns_its_numbers() -> None:
    shown = table(("n", "<b>"), [("1", "<script>")], right={0}, caption="a & b")
    assert "<script>" not in shown
    assert "a &amp; b" in shown
    assert shown.count("text-align:right") == 2


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 ms"), (0.0001, "under 1 ms"), (0.0006, "1 ms"), (0.038, "38 ms")])
def test_no_duration_is_rounded_to_nothing(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_job_whose_function_is_not_here_is_neither_retried_nor_debugged() -> None:
    attached = Job(MapOptions(), str, 1)
    assert attached.add("item")
    attached.cancel()
    result = MapResult(attached)
    for act in (result.retry, lambda: result.debug(0)):
        with pytest.raises(MisuseError, match="the function is not available here; rerun its cell"):
            act()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2.5, "2.5"),
        (1 / 3, "0.333333"),
        (np.float64(-1e10 / 3), "-3.33333e+09"),
        ([1 / 3, None], "[0.333333, None]"),
        (np.array([1, 2]), "array([1, 2])"),
        (np.zeros((90, 4300)), "<ndarray 90 × 4,300>"),
        (array("f", range(1000)), "<array of 1,000>"),
        (array("b", [7]), "array('b', [7])"),
    ],
)
def test_a_value_is_shown_by_what_tells_most_of_it(value: object, shown: str) -> None:
    job = Job(MapOptions(), str, 1)
    task = job.add("item")
    assert task
    job.record([], [], [(task, value, "")])
    job.end()
    assert html.escape(shown) in to_html(MapResult(job))


def test_an_item_that_would_have_to_be_brought_from_s3_does_not_hold_up_a_look() -> None:
    attached = Job(MapOptions(), str, 1)
    assert attached.add(Prepared(b'{"id":0,"object":"key"}'))
    attached.download = lambda _: pytest.fail("a repr and a table must not download")
    attached.cancel()
    result = MapResult(attached)
    assert "an item of another process" in to_html(result)
    assert result.to_frame()["item"].tolist() == [None]
