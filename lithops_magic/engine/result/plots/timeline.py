"""The timeline: what each sandbox did when; large numbers of sandboxes are grouped into bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from lithops_magic.engine.result.plots.columns import Bools, Columns, Floats, Ints, occupancy
from lithops_magic.engine.result.plots.style import (
    COLD,
    FAILED,
    FAINT,
    INK,
    LOST,
    RUNNING,
    WAITING,
    clock,
    grid_only,
    number_whole,
)
from lithops_magic.engine.text.units import duration, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_BARS = 100
"""Maximum sandboxes drawn individually: more would be too thin to see."""
_BANDS = 100
_STEPS = 600
"""Time steps across a banded plot."""
_SPACED = 400
"""Maximum number of tasks for which neighbors are separated by a white line."""
_CROSSES = 400
"""Maximum number of failed tasks for which each is marked."""


def draw_timeline(ax: Axes, tasks: Columns) -> str:
    """Draw when each sandbox was pending, starting and running; return the alternative text."""
    begin, cold = tasks.waits()
    unit, name = clock(tasks.end)
    # Rectangles for a million tasks would be slow to draw, and too thin to see.
    banded = tasks.lanes > _MAX_BARS
    (_bands if banded else _bars)(ax, tasks, begin, cold, unit)
    _crosses(ax, tasks, unit)
    if tasks.prepared > 0.02 * tasks.end and not tasks.begin:
        ax.axvspan(0, tasks.prepared / unit, color="#F4F4F4", zorder=2)
        label = ax.text(tasks.prepared / unit / 2, 0.5, "preparing", fontsize=8.5, color=FAINT, rotation=90)
        label.set(ha="center", va="center", transform=ax.get_xaxis_transform())
    ax.set_xlim(tasks.begin / unit, tasks.end / unit)
    ax.set_ylim(tasks.lanes - 0.5, -0.5)
    number_whole(ax.yaxis)
    after = f" (after {duration(tasks.prepared)} of preparation)" if tasks.begin else ""
    ax.set(title="Timeline", xlabel=f"{name} since the start{after}", ylabel="sandbox")
    grid_only(ax, "x")
    _legend(ax, tasks, cold)
    fewer = f", in bands of {_sandboxes(-(-tasks.lanes // _BANDS))}" if banded else ""
    lost = int(tasks.lost.sum())
    return (
        f"Timeline of {plural(len(tasks) - lost, 'task')} on {_sandboxes(tasks.lanes)}{fewer}: "
        f"{int(cold.sum()):,} cold starts, {int(tasks.failed.sum()):,} failed"
        f"{f', {lost:,} lost and sent again' if lost else ''}"
    )


def _sandboxes(number: int) -> str:
    return f"{number:,} sandbox" if number == 1 else f"{number:,} sandboxes"


def _bars(ax: Axes, tasks: Columns, begin: Floats, cold: Bools, unit: float) -> None:
    line = 0.6 if len(tasks) <= _SPACED else 0.0
    waiting = tasks.started > begin
    for left, right, chosen, color, height in (
        (begin, tasks.started, waiting & ~cold, WAITING, 0.3),
        (begin, tasks.started, waiting & cold, COLD, 0.5),
        (tasks.started, tasks.ended, tasks.done, RUNNING, 0.8),
        (tasks.started, tasks.ended, tasks.failed, FAILED, 0.8),
        (tasks.started, tasks.ended, tasks.lost, LOST, 0.5),
    ):
        corners = _rectangles(left[chosen] / unit, right[chosen] / unit, tasks.lane[chosen], height)
        ax.add_collection(PolyCollection(list(corners), facecolors=color, edgecolors="white", linewidths=line))


def _rectangles(left: Floats, right: Floats, lane: Ints, height: float) -> Floats:
    low, high = lane - height / 2, lane + height / 2
    return np.stack([np.stack(xy, axis=1) for xy in ((left, low), (left, high), (right, high), (right, low))], axis=1)


def _bands(ax: Axes, tasks: Columns, begin: Floats, cold: Bools, unit: float) -> None:
    """Color each cell (band of sandboxes × time step) by the share of time spent in the color's state."""
    band = tasks.lane * _BANDS // tasks.lanes
    edges = np.linspace(tasks.begin, tasks.end, _STEPS + 1)
    room = np.bincount(np.arange(tasks.lanes) * _BANDS // tasks.lanes, minlength=_BANDS) * (edges[1] - edges[0])
    image = np.ones((_BANDS, _STEPS, 3))
    for left, right, chosen, color in (
        (begin, tasks.started, ~cold, WAITING),
        (begin, tasks.started, cold, COLD),
        (tasks.started, tasks.ended, tasks.done, RUNNING),
        (tasks.started, tasks.ended, tasks.failed, FAILED),
        (tasks.started, tasks.ended, tasks.lost, LOST),
    ):
        covered = occupancy(left[chosen], right[chosen], band[chosen], _BANDS, edges)
        image -= (covered / room[:, None])[:, :, None] * (1 - np.array(to_rgb(color)))
    extent = (tasks.begin / unit, tasks.end / unit, tasks.lanes - 0.5, -0.5)
    ax.imshow(image.clip(0, 1), extent=extent, aspect="auto", interpolation="nearest", zorder=1)


def _crosses(ax: Axes, tasks: Columns, unit: float) -> None:
    """Mark failures by shape as well as color."""
    if tasks.failed.sum() <= _CROSSES:
        where = tasks.ended[tasks.failed] / unit, tasks.lane[tasks.failed]
        ax.scatter(*where, marker="x", s=14, linewidths=1.2, color=INK, zorder=3)


def _legend(ax: Axes, tasks: Columns, cold: Bools) -> None:
    done, failed, lost = (int(kind.sum()) for kind in (tasks.done, tasks.failed, tasks.lost))
    entries = {"under way": WAITING, f"cold start ({int(cold.sum()):,})": COLD, f"done ({done:,})": RUNNING}
    if failed:
        entries[f"× failed ({failed:,})"] = FAILED
    if lost:
        entries[f"lost and sent again ({lost:,})"] = LOST
    ax.legend(
        [Patch(color=color) for color in entries.values()],
        list(entries),
        ncols=len(entries),
        loc="lower right",
        bbox_to_anchor=(1.005, 0.985),
        handlelength=1.0,
        handleheight=0.8,
        columnspacing=1.2,
        borderpad=0.2,
    )
