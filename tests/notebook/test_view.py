from __future__ import annotations

import re
from typing import Any

import pytest

from lithops_magic.engine import MapOptions, MapResult
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.events import Charge
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.result.summary import to_html, to_text
from lithops_magic.errors import InvokeError, RemoteError, RemoteFrame, RemoteTraceback, TaskCrashed, facts

TAGS = {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "br", "details", "summary", "span"}


def error(index: int, kind: str, message: str, line: int) -> RemoteError:
    traceback = RemoteTraceback(kind, message, (RemoteFrame("<cell>", line, "f", "1 / y"),))
    made = RemoteError(f"{kind}: {message}", index=index, item=repr(index), traceback=traceback)
    facts(made).where = f"Cell In[6], line {line}: `1 / y`"
    return made


def job(values: list[object], *, total: int | None = None) -> Job:
    """A job some of whose tasks have ended: with a value, or with an error where the value is one."""
    made = Job(MapOptions(label="Cell In[6]"), lambda name: name, len(values) if total is None else total)
    made.publish(ev.Started(made.snapshot().started_at, 1769))
    tasks = [made.add(index) for index in range(len(values) if total is None else total)]
    for task, value in zip(tasks, values, strict=False):
        made.submit([task], 1769)
        charge = (task.index, Charge(0.25, 250.0, 0.0, task.index == 0, "a", 62))
        invoked = ev.Invoked(0.25, 250.0, 0.00001, 0.0000002, cold=task.index == 0, max_memory_mb=62)
        if isinstance(value, Exception):
            made.record([invoked], [charge], [])
            made.fail(task, value)
        else:
            made.record([invoked], [charge], [(task, value, "")])
    return made


def ended(values: list[object]) -> MapResult:
    made = job(values)
    made.end()
    return MapResult(made)


def test_a_finished_job_in_text() -> None:
    shown = to_text(ended([n * n for n in range(1000)]))
    assert re.match(r"Cell In\[6\]: 1,000 tasks · all done · ", shown)
    assert "  values  0, 1, 4 … 994009, 996004, 998001" in shown
    assert "median 0.2 s · 95th percentile 0.2 s" in shown or "median 0.3 s" in shown
    assert "1,000 invocations · 1 cold start" in shown
    assert "  memory  62 of 1,769 MB\n" in shown
    assert "  cost    ≈ $0.01 on AWS" in shown


def test_a_running_job_says_so() -> None:
    shown = to_text(MapResult(job([1, 2], total=10)))
    assert "10 tasks · 2 done · 8 queued" in shown


def test_a_stopped_job_says_so() -> None:
    made = job([1], total=10)
    made.cancel()
    assert "10 tasks · stopped · 1 done · 9 never sent" in to_text(MapResult(made))


def test_a_broken_job_says_why() -> None:
    made = job([1], total=10)
    made.break_off(InvokeError("the role\nis gone"))
    shown = to_text(MapResult(made))
    assert "ended early" in shown
    assert "InvokeError: the role is gone" in shown


def test_a_job_that_prepares() -> None:
    made = Job(MapOptions(), str, 3)
    made.publish(ev.Phase("Deploying …"))
    assert to_text(MapResult(made)).startswith("3 tasks · Deploying · ")


def test_errors_are_grouped_counted_and_bounded() -> None:
    result = ended([error(i, f"E{i % 8}", "no", i % 8) for i in range(80)])
    shown = to_text(result)
    assert "10 of 80 tasks failed with E0 at Cell In[6], line 0: `1 / y` (items 0, 8, 16" in shown
    assert "… and 3 other kinds of error" in shown
    assert shown.count("\n") < 12


def test_a_single_failure_names_its_item() -> None:
    assert "`1 / y` (item 1)" in to_text(ended([0, error(1, "E", "no", 2)]))


def test_any_value_stays_one_short_line() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

    class Long:
        def __repr__(self) -> str:
            return "line\n" * 10_000

    values: list[object] = [Bad(), Long(), "x" * 10_000, list(range(10_000)), {"a": b"y" * 5000}, 10**5000] * 10
    shown = to_text(ended(values))
    assert max(map(len, shown.splitlines())) < 130
    assert len(to_html(ended(values))) < 20_000


def test_html_escapes_and_uses_only_what_untrusted_notebooks_keep() -> None:
    shown = to_html(ended(["<script>alert(1)</script>", TaskCrashed("<b>gone</b>", index=1)]))
    assert "<script" not in shown
    assert "<b>gone" not in shown
    assert set(re.findall(r"<(\w+)", shown)) <= TAGS
    assert not re.search(r"aria-|data-|var\(|class=|role=|https?:", shown)


def test_the_task_table_is_bounded_and_shows_failed_tasks_first() -> None:
    values: list[object] = [*range(500), error(500, "ValueError", "no", 3)]
    shown = to_html(ended(values))
    assert "Tasks (20 of 501, failed ones first)" in shown
    assert shown.count("<tr>") < 30
    assert shown.index(">500</td>") < shown.index(">0</td>")


@pytest.mark.parametrize("values", [[], [None]])
def test_tiny_jobs(values: Any) -> None:
    assert to_text(ended(values)).startswith(f"Cell In[6]: {len(values)} task")
    assert to_html(ended(values))
