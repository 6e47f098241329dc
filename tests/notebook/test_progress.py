from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell

from lithops_magic.engine import MapOptions, MapResult
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.snapshot import Snapshot
from lithops_magic.engine.text.units import duration, factor, money, plural, rate
from lithops_magic.notebook.display.countdown import Countdown
from lithops_magic.notebook.display.progress import Nowhere, PlainLines, Progress, Terminal, sink
from lithops_magic.notebook.display.progress_frame import LONG, Reducing, frame

RUNNING = Snapshot(
    total=400,
    running=16,
    done=120,
    failed=3,
    retried=2,
    throttled=5,
    backups=3,
    invocations=40,
    elapsed=12.0,
    running_seconds=10.0,
    state="running",
    task_seconds=20.0,
    serial_seconds=20.0,
    in_flight=4,
    local=True,
    cost=0.0002,
    request_cost=0.00001,
)
ENDED = replace(RUNNING, running=0, done=397, state="finished", ended_at=1.0, request_cost=0.00021)


def text(snapshot: Snapshot, **options: object) -> str:
    return frame(snapshot, **options)["text/plain"]


def test_a_running_job_shows_every_stage_and_number() -> None:
    parts = (
        "[████░░░░░░░░] 123/400",
        "✗ 3 failed",
        "5 throttled",
        "23 s left",
        "12/s",
        "≈ $0.00021 on AWS, free here",
        "$0.00068 at the end",
        "4 sandboxes at work",
        "12 s",
        "2 retried",
        "3 tasks sent twice",
    )
    assert text(RUNNING, left=22.6) == " · ".join(parts)


def test_what_matters_most_fits_into_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    Terminal().draw(frame(RUNNING, left=22.6))
    shown = capsys.readouterr().out
    assert shown == "\r\x1b[K[████░░░░░░░░] 123/400 · \x1b[31m✗ 3 failed\x1b[0m · 5 throttled · 23 s left · 12/s"
    Terminal().draw(frame(replace(RUNNING, failed=0, throttled=0, done=123, cost=0.0008), left=5.0))
    assert capsys.readouterr().out.endswith("] 123/400 · 5 s left · 12/s · ≈ $0.00081 on AWS, free here")
    monkeypatch.setenv("COLUMNS", "100")
    Terminal().draw(frame(replace(RUNNING, failed=0, throttled=0, total=123, cost=0.0008), left=5.0))
    assert capsys.readouterr().out.endswith("5 s left · 12/s · ≈ $0.00081 on AWS, free here · $0.00083 at the end")


@pytest.mark.parametrize("pace", [0.3, 1.0, 4.0])
def test_the_time_left_counts_down_although_estimates_jump(pace: Any) -> None:
    countdown, shown = Countdown(), []
    for step in range(100):
        now = 1000 + step * 0.4
        # The truth is 40 s; estimates swing by a quarter, ever faster.
        estimate = (40 - step * 0.4) * (1 + 0.25 * math.sin(step * pace))
        shown.append(countdown.left(estimate, now))
    assert shown == sorted(shown, reverse=True)
    assert shown[50] == pytest.approx(20, rel=0.35)
    assert countdown.left(None, 2000.0) is None


def test_the_time_left_rises_where_it_was_far_too_short() -> None:
    countdown = Countdown()
    assert countdown.left(4.0, 0.0) == 4.0
    shown = [countdown.left(60.0 - second, float(second)) for second in range(1, 20)]
    assert shown[-1] == pytest.approx(41.0, rel=0.25)


def test_before_the_first_answer_no_rate_is_claimed() -> None:
    shown = text(replace(RUNNING, done=0, failed=0, invocations=0, cost=0.0, request_cost=0.0))
    assert shown.endswith(
        "] 0/400 · 5 throttled · waiting for the first result · 4 sandboxes at work · 12 s · 2 retried"
        " · 3 tasks sent twice"
    )
    assert "/s" not in shown


def test_a_reduction_follows_in_the_summary_and_counts_in_the_cost() -> None:
    begun = Reducing("total", replace(RUNNING, elapsed=1.5))
    assert "reducing with total() … 1.5 s · ≈ $0.00062 on AWS, free here" in text(ENDED, reducing=begun)
    ended = Reducing("total", replace(ENDED, failed=0, elapsed=1.5))
    assert "reduced with total() in 1.5 s · ≈ $0.00082 on AWS, free here" in text(ENDED, reducing=ended)
    assert "✗ not reduced with total()" in text(ENDED, reducing=Reducing("total", ENDED))


def test_bytes_that_tasks_have_read_are_shown_and_stay() -> None:
    reading = replace(RUNNING, read=640_000_000, running_seconds=8.0)
    assert "640.0 MB read, 80.0 MB/s" in frame(reading)["text/plain"]
    assert "640.0 MB read" in frame(replace(ENDED, read=640_000_000))["text/plain"]
    assert "read" not in frame(RUNNING)["text/plain"] + frame(ENDED)["text/plain"]


def test_an_unknown_total_makes_no_claim() -> None:
    shown = text(replace(RUNNING, total=None))
    assert "] 123/? · " in shown
    assert "left" not in shown


def test_a_phase_is_one_line_without_a_bar() -> None:
    bundle = frame(Snapshot(phase="Deploying lithops-magic-1 …", elapsed=3.2))
    assert bundle["text/plain"] == "Deploying lithops-magic-1 … 3.2 s"
    assert "<progress" not in bundle["text/html"]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        (
            {"failed": 0, "done": 400, "retried": 0, "throttled": 0},
            "400 tasks · 12 s · 1.7 × faster than one by one · ≈ $0.00041 on AWS, free here",
        ),
        (
            {},
            "400 tasks · ✗ 3 failed · 12 s · 1.7 × faster than one by one · 2 retried · 5 throttled · ≈ $0.00041 on",
        ),
        (
            {"state": "cancelled", "done": 15, "running": 3, "cancelled": 379},
            "Stopped: 18 of 400 tasks finished · 3 still running · ✗ 3 failed · 12 s",
        ),
        ({"state": "broken", "done": 0, "failed": 0, "cancelled": 400}, "Ended early: 0 of 400 tasks finished · 12 s"),
    ],
)
def test_the_last_line_tells_what_happened(changes: Any, shown: str) -> None:
    assert text(replace(ENDED, **changes)).startswith(shown)


def test_a_real_account_is_told_the_whole_cost() -> None:
    assert text(replace(ENDED, local=False)).endswith(" · ≈ $0.00041 on AWS")


def test_a_price_is_the_same_while_a_job_runs_and_when_it_has_ended() -> None:
    running = replace(RUNNING, request_cost=0.00021)
    price = "≈ $0.00041 on AWS, free here"
    assert price in text(running)
    assert price in text(replace(running, state="finished", ended_at=1.0))


@pytest.mark.parametrize(
    "changes", [{"elapsed": 0.9}, {"serial_seconds": 12.0}, {"serial_seconds": 3.0}, {"serial_seconds": 0.0}]
)
def test_no_speed_up_is_claimed_where_there_is_none(changes: Any) -> None:
    assert "faster" not in text(replace(ENDED, **changes))


def test_notes_follow_in_lines_of_their_own() -> None:
    bundle = frame(ENDED, notes=("a < b", "two"))
    assert bundle["text/plain"].splitlines()[1:] == ["Note: a < b", "Note: two"]
    assert "a &lt; b" in bundle["text/html"]


@pytest.mark.parametrize("snapshot", [RUNNING, ENDED, Snapshot(phase="<b>"), replace(RUNNING, total=0)])
def test_html_uses_only_what_untrusted_notebooks_keep(snapshot: Any) -> None:
    shown = frame(snapshot)["text/html"]
    assert set(re.findall(r"<(\w+)", shown)) <= {"div", "progress", "b", "span"}
    assert not re.search(r"aria-|data-|var\(|class=|role=", shown)


def test_dollars_are_not_set_as_mathematics() -> None:
    shown = frame(ENDED, notes=(r"\(x\) $y$",))["text/html"]
    assert "<span>$</span>0.00041" in shown
    assert not re.search(r"(?<!<span>)[$\\]", shown)


def test_a_terminal_line_is_overwritten_and_cut_to_its_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns, shown in (
        ("60", "[████░░░░░░░░] 123/400 · \x1b[31m✗ 3 failed\x1b[0m · 5 throttled · 12/s"),
        ("35", "[████░░░░░░░░] 123/400"),
        ("12", "[████░░░░░░"),
    ):
        monkeypatch.setenv("COLUMNS", columns)
        Terminal().draw(frame(RUNNING))
        assert capsys.readouterr().out == f"\r\x1b[K{shown}"
    Terminal().finish(frame(ENDED, notes=("one",)))
    assert capsys.readouterr().out.endswith("free here\nNote: one\n")


def test_a_pipe_gets_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines()
    for _ in range(50):
        lines.draw(frame(RUNNING))
    lines.finish(frame(ENDED))
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_news_is_told_once_as_soon_as_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    for where in (Terminal(), PlainLines()):
        for _ in range(3):
            where.draw(frame(RUNNING, notes=("heavy",)))
        where.finish(frame(ENDED, notes=("heavy", "late")))
        shown = capsys.readouterr().out
        assert shown.count("Note: heavy\n") == shown.count("Note: late\n") == 1
        assert shown.index("Note: heavy") < shown.index("400 tasks") < shown.index("Note: late")


class Frames:
    """Where frames are drawn to be looked at."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def draw(self, bundle: dict[str, str]) -> None:
        self.drawn.append(bundle["text/plain"])

    finish = draw


@pytest.mark.parametrize(("patience", "frames"), [(1000.0, ["3 tasks"]), (-1.0, ["0/3", "3 tasks"])])
def test_progress_appears_only_when_the_user_has_waited(
    monkeypatch: pytest.MonkeyPatch, patience: Any, frames: Any
) -> None:
    monkeypatch.setattr("lithops_magic.notebook.display.progress.PATIENCE", patience)
    job = Job(MapOptions(), str, 3)
    job.publish(ev.Started(0.0, 1769))
    result, where = MapResult(job), Frames()
    progress = Progress(where)
    progress.begin(result, now=False)
    # It ends between the first look and the second.
    looks = iter([False, True])
    monkeypatch.setattr(result, "wait", lambda timeout: next(looks))
    progress.watch(result)
    job.end()
    progress.finish(result)
    assert len(where.drawn) == len(frames)
    assert all(part in drawn for part, drawn in zip(frames, where.drawn, strict=True))


def test_where_progress_is_drawn(shell: TerminalInteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(sink(shell, wanted=True), PlainLines)
    assert isinstance(sink(shell, wanted=False), Nowhere)
    assert isinstance(sink(shell, wanted=True, background=True), Nowhere)
    monkeypatch.setenv("LITHOPS_MAGIC_PROGRESS", "0")
    assert isinstance(sink(shell, wanted=True), Nowhere)
    Nowhere().draw({})
    Nowhere().finish({})


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 ms"),
        (0.0381, "38 ms"),
        (0.0996, "0.1 s"),
        (1.94, "1.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3720, "1 h 02 min"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(0, "$0"), (0.0000002, "$0.0000002"), (0.000214, "$0.00021"), (0.012, "$0.01"), (1234.5, "$1,234.50")],
)
def test_money(usd: float, shown: str) -> None:
    assert money(usd) == shown


def test_counts_and_factors() -> None:
    assert [plural(1, "task"), plural(2000, "task")] == ["1 task", "2,000 tasks"]
    assert [factor(n) for n in (1.66, 9.97, 23.4)] == ["1.7 ×", "10 ×", "23 ×"]
    assert [rate(n) for n in (1234.5, 12.3, 2.71, 0.045, 0.002, 0.0001)] == [
        *("1,234/s", "12/s", "2.7/s", "2.7/min", "7.2/h", "0.4/h")
    ]


def test_a_job_that_runs_for_long_or_was_stopped_can_be_found_again() -> None:
    mark = "job 0123abcd at 14:03:22"
    assert mark not in frame(replace(RUNNING, elapsed=LONG - 1), mark=mark)["text/plain"]
    assert frame(replace(RUNNING, elapsed=LONG), mark=mark)["text/plain"].split("\n")[0].endswith(mark)
    assert frame(replace(ENDED, state="cancelled"), mark=mark)["text/plain"].endswith(mark)
    assert mark not in frame(ENDED, mark=mark)["text/plain"]


def test_a_note_is_said_once_in_a_session() -> None:
    told: set[str] = set()
    first = Progress(Nowhere(), told=told)
    one, two = replace(RUNNING, notes=("numpy differs",)), replace(RUNNING, notes=("numpy differs", "pandas differs"))
    assert first._news(one) == ("numpy differs",)
    assert first._news(one) == ("numpy differs",)
    second = Progress(Nowhere(), told=told)
    assert second._news(two) == ("pandas differs",)
