"""A small picture of a job, drawn while it runs: busy sandboxes over time, and what each of them did."""

from __future__ import annotations

import base64
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from lithops_magic.engine.text.units import duration, plural

if TYPE_CHECKING:
    from lithops_magic.engine import MapResult, Snapshot
    from lithops_magic.engine.job.ledger import TaskStats

WORTH = 3.0
"""Seconds after which a job gets a picture."""
PERIOD = 0.5
"""Seconds between pictures."""
_TASKS = 4000
"""Maximum tasks considered, evenly sampled, so that a job with a million tasks costs no more."""
_ROWS = 24
"""Maximum rows; with more sandboxes, several share a row."""
_SEGMENTS = 700
"""Approximate maximum of strokes drawn; closer ones are merged."""
_POINTS = 240
"""Maximum points in the curve of busy sandboxes; beyond, every other one is dropped."""

_WIDTH, _AREA, _GAP, _ROW, _TICK = 640, 44, 20, 6, 8
_RUNNING, _STARTING, _FAILED, _TEXT = "#4c8bf5", "#f2a93b", "#e03c31", "#808080"
"""Visible on both white and black."""

Span = tuple[float, float]


@dataclass(frozen=True)
class _Lanes:
    """What sandboxes did, in the order they started."""

    running: Sequence[list[Span]]
    starting: Sequence[list[Span]]
    failed: Sequence[list[Span]]
    shared: bool
    """Whether several sandboxes share a row."""

    @classmethod
    def of(cls, tasks: Iterable[TaskStats]) -> _Lanes:
        """Sort the completed tasks into rows."""
        ran = sorted((task for task in tasks if not math.isnan(task.ended_s)), key=lambda task: task.started_s)
        numbers: dict[str, int] = {}
        for task in ran:
            numbers.setdefault(task.sandbox, len(numbers))
        share = -(-len(numbers) // _ROWS) or 1
        rows: list[defaultdict[int, list[Span]]] = [defaultdict(list) for _ in range(3)]
        for task in ran:
            row = numbers[task.sandbox] // share
            rows[2 if task.state == "failed" else 0][row].append((task.started_s, task.ended_s))
            if task.cold:
                rows[1][row].append((task.sent_s, task.started_s))
        count = -(-len(numbers) // share)
        running, starting, failed = ([kind[row] for row in range(count)] for kind in rows)
        return cls(running, starting, failed, shared=share > 1)


class Timeline:
    """Records how many sandboxes were busy, and draws that with the tasks' outcomes."""

    def __init__(self) -> None:
        self._at_work: list[tuple[float, int]] = []
        self._drawn_at = -math.inf
        self._picture = ""

    def picture(self, result: MapResult, snapshot: Snapshot) -> str:
        """Return an HTML image at most `PERIOD` old; empty if the job is too short for one."""
        now = snapshot.elapsed
        if snapshot.running_seconds == 0.0 or snapshot.phase:
            return ""
        if now - self._drawn_at >= PERIOD or snapshot.finished:
            self._drawn_at = now
            self._at_work.append((now, 0 if snapshot.finished else snapshot.in_flight))
            if len(self._at_work) > _POINTS:
                # Half of the points remain, evenly: the picture of an hour costs no more than that of a minute.
                del self._at_work[1::2]
            self._picture = self._draw(result, snapshot) if snapshot.running_seconds >= WORTH else ""
        return self._picture

    def _draw(self, result: MapResult, snapshot: Snapshot) -> str:
        stats = result.stats
        # Evenly spaced rather than random, so that consecutive pictures show the same tasks.
        every = -(-len(stats) // _TASKS) or 1
        lanes = _Lanes.of(stats[index] for index in range(0, len(stats), every))
        peak = max((number for _, number in self._at_work), default=0)
        words = [
            f"Timeline of {duration(snapshot.running_seconds)}",
            f"at most {plural(peak, 'sandbox', 'sandboxes')} at work",
            plural(snapshot.cold_starts, "cold start"),
            f"{snapshot.done:,} tasks done, {snapshot.failed:,} failed",
        ]
        # An image, because JupyterLab removes `<svg>` from outputs of notebooks that are not trusted.
        image = base64.b64encode(_svg(lanes, self._at_work, snapshot, peak).encode()).decode()
        alt = escape(", ".join(words))
        return f'<img alt="{alt}" style="width:100%;max-width:{_WIDTH}px" src="data:image/svg+xml;base64,{image}">'


def _svg(lanes: _Lanes, at_work: Sequence[tuple[float, int]], snapshot: Snapshot, peak: int) -> str:
    begin = snapshot.elapsed - snapshot.running_seconds
    scale = _WIDTH / max(snapshot.running_seconds, 1e-9)

    def x(moment: float) -> float:
        return min(max(0.0, (moment - begin) * scale), float(_WIDTH))

    top = _AREA + _GAP
    rows = len(lanes.running)
    # Few spans are drawn individually; of many, close ones are merged, so that about _SEGMENTS strokes remain.
    many = sum(map(len, lanes.running)) > _SEGMENTS or lanes.shared
    closest = rows * _WIDTH / _SEGMENTS if many else 0.0
    curve = _area([(x(moment), number) for moment, number in at_work], peak)
    drawn = [f'<path d="{curve}" fill="{_RUNNING}" opacity=".45"/>']
    for kind, color in ((lanes.starting, _STARTING), (lanes.running, _RUNNING), (lanes.failed, _FAILED)):
        strokes = "".join(
            f"M{start:.1f} {top + _ROW * row + _ROW / 2:g}h{end - start:.1f}"
            for row, spans in enumerate(kind)
            for start, end in _strokes([(x(start), x(end)) for start, end in spans], closest, color)
        )
        if strokes:
            drawn.append(f'<path d="{strokes}" stroke="{color}" stroke-width="{_ROW - 1.5}"/>')
    legend = [(_RUNNING, "running")]
    legend += [(_STARTING, "cold start")] if any(lanes.starting) else []
    legend += [(_FAILED, "failed")] if any(lanes.failed) else []
    keys = "".join(f' <tspan fill="{color}">■</tspan> {name}' for color, name in legend)
    height = top + _ROW * rows + 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="sans-serif" font-size="11" fill="{_TEXT}">{"".join(drawn)}'
        f'<text y="{_AREA + 14}">at most {plural(peak, "sandbox", "sandboxes")} at work</text>'
        f'<text x="{_WIDTH}" y="{_AREA + 14}" text-anchor="end">{keys} · {duration(snapshot.running_seconds)}</text>'
        "</svg>"
    )


def _area(points: Sequence[tuple[float, int]], peak: int) -> str:
    """Return the path of a step curve, filled to the baseline."""
    height = (_AREA - 4) / max(peak, 1)
    path = f"M0 {_AREA}" + "".join(f"V{_AREA - number * height:.1f}H{end:.1f}" for number, end in _steps(points))
    return f"{path}V{_AREA}Z"


def _steps(points: Sequence[tuple[float, int]]) -> Iterable[tuple[int, float]]:
    """Yield each number with its end: a number observed at some moment applies back to the previous one."""
    for (_, before), (moment, number) in zip(((0.0, 0), *points), points, strict=False):
        yield max(before, number), moment


def _strokes(spans: list[Span], closest: float, color: str) -> list[Span]:
    if color != _FAILED or not closest:
        return _merged(spans, closest)
    # One sandbox's failure must not cover what the many others in its row do.
    return [(place * _TICK, place * _TICK + _TICK / 4) for place in sorted({int(end / _TICK) for _, end in spans})]


def _merged(spans: list[Span], closest: float) -> list[Span]:
    """Return spans that are more than `closest` apart, each with a minimum width."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        end = max(end, start + 0.6)
        if merged and start - merged[-1][1] < closest:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    # Leave a gap between consecutive tasks if there is room.
    return [(start, max(end - 0.4, start + 0.4)) for start, end in merged]
