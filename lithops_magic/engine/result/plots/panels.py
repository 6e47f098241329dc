"""The histogram of durations, concurrency over time, and cost by task."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from lithops_magic.engine.result.plots.columns import Columns, Floats, concurrency, grouped_means, occupancy
from lithops_magic.engine.result.plots.style import (
    FAILED,
    INK,
    RUNNING,
    WAITING,
    annotate,
    clock,
    grid_only,
    number_whole,
)
from lithops_magic.engine.text.units import duration, money, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 40
_WIDE = 100
"""Ratio of longest to shortest task above which durations get a logarithmic axis."""
_ALIKE = 1.4
"""Ratio of longest to shortest task below which durations count as equal."""
_FEW_BINS = 10
_STEPS = 150
_COST_BARS = 60


def draw_histogram(ax: Axes, tasks: Columns) -> str:
    """Draw how long tasks took; return the alternative text."""
    tasks = tasks.last()
    longest = float(tasks.duration.max())
    unit, name = clock(longest)
    values = np.maximum(tasks.duration, 1e-6) / unit
    edges = _bins(values)
    kinds = [("done", RUNNING, tasks.done), ("failed", FAILED, tasks.failed)]
    kinds = [kind for kind in kinds if kind[2].any()]
    ax.hist(
        [values[chosen] for _, _, chosen in kinds],
        bins=edges.tolist(),
        stacked=True,
        color=[color for _, color, _ in kinds],
        label=[name for name, _, _ in kinds],
        edgecolor="white",
        linewidth=0.4,
    )
    median, high = (float(np.percentile(tasks.duration, share)) for share in (50, 95))
    ax.axvline(median / unit, color=INK, linewidth=1.1, label=f"median {duration(median)}")
    ax.axvline(high / unit, color=INK, linewidth=1.1, linestyle="--", label=f"95th percentile {duration(high)}")
    ax.legend(loc="best", handlelength=1.2, handleheight=0.8)
    if edges[-1] / edges[0] > _WIDE:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_xlim(left=0)
    number_whole(ax.yaxis)
    ax.set(title="Durations", xlabel=f"{name} per task", ylabel="tasks")
    ax.margins(y=0.15)
    grid_only(ax, "y")
    return f"Durations: median {duration(median)}, 95th percentile {duration(high)}, longest {duration(longest)}"


def _bins(values: Floats) -> Floats:
    low, high = float(values.min()), float(values.max())
    bins = max(1, min(_BINS, math.ceil(2 * math.sqrt(len(values)))))
    if high / low > _WIDE:
        return np.geomspace(low, high, bins + 1)
    if high < _ALIKE * low:
        # With an axis that starts at zero, bars as narrow as the differences would be invisible.
        middle = (low + high) / 2
        return np.linspace(middle * 0.8, middle * 1.2, _FEW_BINS + 1)
    return np.linspace(low, high, bins + 1)


def draw_concurrency(ax: Axes, tasks: Columns) -> str:
    """Draw how many tasks ran, and how many had been sent, over time; return the alternative text."""
    unit, name = clock(tasks.end)
    edges = np.linspace(tasks.begin, tasks.end, _STEPS + 1)
    running, sent = (_means(since, tasks.ended, edges) for since in (tasks.started, tasks.sent))
    ax.fill_between(edges / unit, running, sent, step="post", color=WAITING, linewidth=0, label="sent, not running")
    ax.fill_between(edges / unit, running, step="post", color=RUNNING, linewidth=0, label="running")
    peak = int(concurrency(tasks.started, tasks.ended, tasks.started).max())
    ax.set_xlim(tasks.begin / unit, tasks.end / unit)
    ax.set_ylim(0, max(1, sent.max(), peak) * 1.25)
    number_whole(ax.yaxis)
    ax.legend(loc="upper right", handlelength=1.0, handleheight=0.8, ncols=2, columnspacing=1.0, borderpad=0.1)
    ax.set(title="Concurrency", xlabel=f"{name} since the start", ylabel="tasks")
    annotate(ax, f"at most {peak:,} running")
    grid_only(ax, "y")
    return f"Concurrency: at most {plural(peak, 'task')} running at a time"


def _means(begin: Floats, end: Floats, edges: Floats) -> Floats:
    """Return the average number of intervals between each pair of `edges`; the last value is repeated.

    Averages, because in a thousand point samples the gaps between tasks would look like a barcode.
    """
    (covered,) = occupancy(begin, end, np.zeros(len(begin), np.int64), 1, edges)
    return np.asarray(np.append(covered, covered[-1]) / (edges[1] - edges[0]), float)


def draw_cost(ax: Axes, tasks: Columns) -> str:
    """Draw task costs in item order; return the alternative text."""
    total = money(float(tasks.cost.sum()))
    tasks = tasks.last()
    order = np.argsort(tasks.index)
    cost, index = tasks.cost[order], tasks.index[order]
    bars, size = grouped_means(cost, _COST_BARS)
    left = index[::size].astype(float)
    width = np.diff(np.append(left, index[-1] + 1.0))
    ax.bar(left, bars, width=width * 0.9, align="edge", color=RUNNING, linewidth=0)
    top = float(bars.max()) or 1.0
    digits = max(0, 1 - math.floor(math.log10(top)))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda usd, _: f"{usd * 10 ** (digits - 1):g}"))
    scale = f"10$^{{{1 - digits}}}$ USD" if digits > 1 else "USD"
    number_whole(ax.xaxis)
    ax.set_xlim(index[0], index[-1] + 1)
    ax.set(title="Cost", xlabel=f"task (each bar the mean of {size:,})" if size > 1 else "task")
    ax.set_ylabel(f"{scale} per task", parse_math=True)
    highest = int(cost.argmax())
    annotate(ax, f"≈ {total} on AWS")
    grid_only(ax, "y")
    return f"Cost: ≈ {total} on AWS; task {index[highest]:,} is the most expensive with {money(float(cost[highest]))}"
