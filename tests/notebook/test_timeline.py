"""The picture under the bar: bounded in size, not too often, said in words too."""

from __future__ import annotations

import base64
import re
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from lithops_magic.engine.job.ledger import TaskStats
from lithops_magic.engine.job.snapshot import Snapshot
from lithops_magic.notebook.display.progress import CellOutput, PlainLines, Progress
from lithops_magic.notebook.display.progress_frame import frame
from lithops_magic.notebook.display.timeline import Timeline


def job(tasks: int, sandboxes: int, *, fails: int = 0) -> Any:
    """Tasks of one second, one after the other in each sandbox; every sandbox starts in half a second."""
    stats = []
    for index in range(tasks):
        turn, box = divmod(index, sandboxes)
        stats.append(
            TaskStats(
                index=index,
                state="failed" if index < fails else "done",
                cold=not turn,
                sandbox=f"box {box}",
                sent_s=0.5 + turn,
                started_s=1.0 + turn,
                ended_s=2.0 + turn,
            )
        )
    return SimpleNamespace(stats=stats)


def snapshot(seconds: float, **changes: Any) -> Snapshot:
    facts = {"total": 8, "done": 6, "failed": 2, "in_flight": 4, "cold_starts": 4, "state": "running"}
    return Snapshot(**{**facts, "elapsed": seconds + 0.5, "running_seconds": seconds, **changes})


def svg(picture: str) -> ET.Element:
    return ET.fromstring(base64.b64decode(picture.partition("base64,")[2].partition('"')[0]))


def strokes(picture: str, colour: str) -> list[str]:
    paths = [path for path in svg(picture).iter("{http://www.w3.org/2000/svg}path") if path.get("stroke") == colour]
    return [stroke for path in paths for stroke in re.findall(r"M[^M]+", path.get("d", ""))]


def test_every_task_failure_and_cold_start_is_drawn_and_told() -> None:
    picture = Timeline().picture(job(8, 4, fails=2), snapshot(6.0))
    assert len(strokes(picture, "#4c8bf5")) == 6
    assert len(strokes(picture, "#e03c31")) == 2
    assert len(strokes(picture, "#f2a93b")) == 4
    alt = "Timeline of 6.0 s, at most 4 sandboxes at work, 4 cold starts, 6 tasks done, 2 failed"
    assert f'alt="{alt}"' in picture
    # The last one begins at 2.0 s of the job, 1.5 s after the first could be sent: a quarter of 640.
    assert strokes(picture, "#4c8bf5")[-1].startswith("M160.0 ")


@pytest.mark.parametrize(("tasks", "sandboxes"), [(0, 1), (1, 1), (5000, 30), (50_000, 10_000), (200_000, 3)])
def test_a_picture_is_small_whatever_the_job_is(tasks: Any, sandboxes: Any) -> None:
    made = job(min(tasks, 60_000), sandboxes, fails=tasks // 2)
    picture = Timeline().picture(made, snapshot(tasks / sandboxes + 4.0))
    assert 300 < len(picture) < 40_000
    assert len(svg(picture)) >= 3


def test_a_short_job_and_one_that_is_prepared_have_none() -> None:
    timeline = Timeline()
    assert timeline.picture(job(2, 2), snapshot(2.0)) == ""
    assert timeline.picture(job(2, 2), snapshot(9.0, phase="Deploying")) == ""


def test_two_pictures_a_second_at_most() -> None:
    timeline, drawn = Timeline(), set()
    for tenth in range(40, 60):
        drawn.add(timeline.picture(job(8, 4), snapshot(tenth / 10)))
    assert len(drawn) == 4
    for second in range(6, 1000):
        timeline.picture(job(8, 4), snapshot(float(second)))
    assert len(timeline._at_work) <= 240


def test_the_picture_is_folded_at_the_end() -> None:
    running = frame(snapshot(6.0), picture="<img>")["text/html"]
    assert running.endswith("<img></div>")
    assert "<details>" not in running
    ended = frame(snapshot(6.0, state="finished", ended_at=1.0), picture="<img>")["text/html"]
    assert "<details><summary>Timeline</summary><img></details>" in ended
    assert "<details>" not in frame(snapshot(6.0, state="finished", ended_at=1.0))["text/html"]


def test_only_a_notebook_has_pictures() -> None:
    assert Progress(CellOutput(), timeline=True)._timeline
    assert not Progress(CellOutput(), timeline=False)._timeline
    assert not Progress(PlainLines(), timeline=True)._timeline
