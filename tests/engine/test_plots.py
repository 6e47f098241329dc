"""Pictures of jobs that were made up, because their truth is known."""

from __future__ import annotations

import heapq
import random
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from lithops_magic.engine.job.ledger import Table, TaskStats
from lithops_magic.engine.job.snapshot import Snapshot
from lithops_magic.engine.result.misuse import need
from lithops_magic.engine.result.plots import Plot, plot
from lithops_magic.engine.result.plots.columns import Columns, concurrency, grouped_means, occupancy
from lithops_magic.errors import MissingPackage, MisuseError

intervals = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)).map(lambda x: (x[0], x[0] + x[1])), min_size=1)


def table(rows: Iterable[TaskStats]) -> Table:
    kept = list(rows)
    return {field.name: [getattr(row, field.name) for row in kept] for field in fields(TaskStats)}


def job(
    tasks: int, sandboxes: int, *, failing: float = 0.1, prepared: float = 0.4
) -> tuple[Table, list[TaskStats], Snapshot]:
    """A job whose sandboxes take the next task as soon as they are free."""
    chance = random.Random(7)
    free = [(prepared + 0.002 * number, f"s{number}", True) for number in range(sandboxes)]
    stats = []
    for index in range(tasks):
        sent, sandbox, cold = heapq.heappop(free)
        started = sent + (0.5 if cold else 0.01)
        seconds = chance.lognormvariate(0, 0.5)
        heapq.heappush(free, (started + seconds, sandbox, False))
        stats.append(
            TaskStats(
                index=index,
                state="failed" if chance.random() < failing else "done",
                duration_s=seconds,
                billed_ms=seconds * 1000,
                cold=cold,
                sandbox=sandbox,
                attempts=1,
                memory_mb=1769,
                sent_s=sent,
                started_s=started,
                ended_s=started + seconds,
            )
        )
    snapshot = Snapshot(total=tasks, cost=0.01, request_cost=0.002, memory_mb=1769, running_at=prepared)
    return table(stats), [], snapshot


def texts(drawn: Plot) -> str:
    return "\n".join(text.get_text() for text in drawn.figure.findobj(matplotlib.text.Text))


@given(intervals)
def test_concurrency_counts_the_intervals_that_hold_an_instant(spans: list[tuple[float, float]]) -> None:
    begin, end = np.array(spans).T
    at = np.unique(np.concatenate([begin, end]))
    assert concurrency(begin, end, at).tolist() == [sum(a <= t < b for a, b in spans) for t in at]


@given(intervals, st.integers(1, 5))
@settings(deadline=None)
def test_no_time_is_lost_between_bands_and_instants(spans: list[tuple[float, float]], bands: int) -> None:
    begin, end = np.array(spans).T
    band = np.arange(len(spans)) % bands
    covered = occupancy(begin, end, band, bands, np.linspace(0, 110, 23))
    for number in range(bands):
        assert covered[number].sum() == pytest.approx((end - begin)[band == number].sum())


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.integers(1, 50))
@settings(deadline=None)
def test_means_of_groups_keep_the_sum(values: list[float], most: int) -> None:
    means, size = grouped_means(np.array(values), most)
    counts = np.minimum(size, len(values) - size * np.arange(len(means)))
    assert len(means) <= most
    assert (means * counts).sum() == pytest.approx(sum(values))


def test_a_sandbox_waits_only_for_the_task_that_it_gets_next() -> None:
    # Three tasks of one chunk: the second and third were sent with the first, but their sandbox was busy, not waiting.
    times = ((0.0, 1.0, 2.0), (0.0, 2.0, 3.0), (0.0, 3.5, 4.0))
    stats = [
        TaskStats(index=i, state="done", sandbox="a", cold=True, sent_s=sent, started_s=start, ended_s=end)
        for i, (sent, start, end) in enumerate(times)
    ]
    begin, cold = Columns.of(table(stats), [], Snapshot()).waits()
    assert begin.tolist() == [0.0, 2.0, 3.0]
    assert cold.tolist() == [True, False, False]


def test_costs_add_up_and_what_has_not_run_is_left_out() -> None:
    tasks, lost, snapshot = job(50, 5)
    waiting = table([TaskStats(index=50)])
    columns = Columns.of({name: [*tasks[name], *waiting[name]] for name in tasks}, lost, snapshot)
    assert (len(columns), columns.lanes) == (50, 5)
    assert columns.cost.sum() == pytest.approx(snapshot.cost + snapshot.request_cost)


@pytest.mark.parametrize("kind", ["overview", "timeline", "histogram", "concurrency", "cost"])
def test_each_kind_says_in_words_what_it_shows(kind: str) -> None:
    drawn = plot(kind, *job(40, 8), "Cell In[6] costs $5 & $6")
    assert drawn.alt.startswith("Cell In[6] costs $5 & $6. ")
    data, metadata = drawn._repr_mimebundle_()
    assert data["text/plain"] == drawn.alt
    assert 'alt="Cell In[6] costs $5 &amp; $6. ' in data["text/html"]
    assert metadata["image/png"]["alt"] == drawn.alt
    words = {"timeline": "40 tasks on 8 sandboxes: 8 cold starts", "concurrency": "at most 8 tasks", "cost": "$0.01"}
    assert words.get(kind, "median") in drawn.alt


@pytest.mark.no_cover
@pytest.mark.parametrize("tasks", [1, 2, 10_000])
def test_any_size_of_job_is_drawn_and_stays_small(tasks: int) -> None:
    drawn = plot("overview", *job(tasks, min(tasks, 1000), failing=0.03), "")
    assert len(drawn._repr_mimebundle_()[0]["image/png"]) < 300_000
    timeline, _, _, cost = drawn.figure.axes
    assert len(timeline.images) == (tasks == 10_000)
    assert len(cost.patches) <= 60
    assert "\\mathdefault" not in texts(drawn)


def test_bands_are_as_dark_as_their_sandboxes_are_busy() -> None:
    stats = [
        TaskStats(index=i, state="done", sandbox=f"s{i}", sent_s=0.0, started_s=0.0, ended_s=10.0 if i % 2 else 5.0)
        for i in range(200)
    ]
    (image,) = plot("timeline", table(stats), [], Snapshot(), "").figure.axes[0].images
    pixels: Any = image.get_array()
    blue = np.array(matplotlib.colors.to_rgb("#0072B2"))
    assert np.allclose(pixels[:, 10], blue, atol=0.01)
    assert np.allclose(pixels[:, -10], 1 - (1 - blue) / 2, atol=0.01)


def test_a_long_preparation_does_not_dwarf_the_rest() -> None:
    axes = plot("timeline", *job(20, 4, prepared=60.0), "").figure.axes[0]
    assert axes.get_xlim()[0] == pytest.approx(60.0)
    assert "after 1 min 00 s of preparation" in axes.get_xlabel()


def test_durations_of_very_different_length_get_readable_ticks(tmp_path: Path) -> None:
    tasks, lost, snapshot = job(30, 3)
    durations = [0.0001, *tasks["duration_s"][1:]]
    drawn = plot("histogram", {**tasks, "duration_s": durations}, lost, snapshot, "")
    drawn.save(tmp_path / "durations.png")
    assert drawn.figure.axes[0].get_xscale() == "log"
    assert "mathdefault" not in texts(drawn)


@pytest.mark.parametrize("spread", [0.0, 1e-12, 0.0004, 0.02, 0.35])
def test_durations_that_are_all_alike_can_be_seen(spread: float) -> None:
    tasks, lost, snapshot = job(40, 4)
    durations = [2.0 * (1 + spread * number / 39) for number in range(40)]
    axes = plot("histogram", {**tasks, "duration_s": durations}, lost, snapshot, "").figure.axes[0]
    left, right = axes.get_xlim()
    bars = [bar for bar in axes.patches if bar.get_height()]  # type: ignore[attr-defined]
    assert sum(bar.get_height() for bar in bars) == 40  # type: ignore[attr-defined]
    assert all(bar.get_width() > 0.01 * (right - left) for bar in bars)  # type: ignore[attr-defined]
    assert all(left <= bar.get_x() and bar.get_x() + bar.get_width() <= right for bar in bars)  # type: ignore[attr-defined]


def test_files_are_written_in_the_format_of_their_suffix(tmp_path: Path) -> None:
    drawn = plot("timeline", *job(40, 8), "")
    drawn.save(tmp_path / "p.png")
    drawn.save(str(tmp_path / "p.svg"))
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    (title, *_) = ElementTree.parse(tmp_path / "p.svg").getroot()
    assert (title.tag, title.text) == ("{http://www.w3.org/2000/svg}title", drawn.alt)
    drawn.save(tmp_path / "p.jpg")
    assert (tmp_path / "p.jpg").stat().st_size > 1000


@pytest.mark.parametrize(("name", "problem"), [("p.bmpx", "not supported"), ("no/p.png", "No such file or directory")])
def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(MisuseError, match=f"p.*{problem}"):
        plot("cost", *job(4, 2), "").save(tmp_path / name)


def test_the_users_style_and_backend_are_left_alone_and_do_not_matter() -> None:
    from matplotlib.style import context

    with context({"figure.facecolor": "black", "text.usetex": True}):
        before = dict(matplotlib.rcParams)
        drawn = plot("overview", *job(10, 2), "")
        assert dict(matplotlib.rcParams) == before
    assert isinstance(drawn.figure, Figure)
    assert drawn.figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)


def test_bad_requests_are_one_line() -> None:
    with pytest.raises(MisuseError, match="did you mean 'timeline'"):
        plot("timelin", *job(4, 2), "")
    with pytest.raises(MisuseError, match="no task has run"):
        plot("overview", table([TaskStats(index=0)]), [], Snapshot(), "")


def test_without_matplotlib_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("lithops_magic.engine.result.plots")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackage, match=r"plot\(\) needs matplotlib: .*pip install matplotlib"):
        need("lithops_magic.engine.result.plots", "plot()", "matplotlib")
