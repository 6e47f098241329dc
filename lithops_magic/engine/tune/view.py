"""How a tuning is displayed: a table, the named sizes, and a plot of time and cost; plain strings only."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Sequence

from lithops_magic.engine.result.memory_advice import enough
from lithops_magic.engine.text import html
from lithops_magic.engine.text.units import duration, money, plural, price
from lithops_magic.engine.tune.tuning import CHOICES, Measured, Size, Tuning

_HEADINGS = ("memory", "architecture", "time of a task", "cost of 1,000 tasks", "memory used", "")
_WIDTH, _HEIGHT, _EDGE = 480, 240, 48
_COLORS = {"x86_64": "#3b6fb6", "arm64": "#c7641e"}


def to_text(tuning: Tuning) -> str:
    """Return a tuning for a terminal."""
    rows = [_HEADINGS, *_rows(tuning)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join((_title(tuning), *lines, *_sentences(tuning)))


def to_html(tuning: Tuning) -> str:
    """Return a tuning for a notebook."""
    table = html.table(_HEADINGS, list(_rows(tuning)), caption=_title(tuning), right={0, 2, 3, 4})
    told = "".join(f"<div>{html.escape(sentence)}</div>" for sentence in _sentences(tuning))
    return f"<div>{table}{_plot(tuning)}{told}</div>"


def named(tuning: Tuning, size: Size) -> list[str]:
    """Return the names of a size."""
    return [name for name in CHOICES if tuning.choice(name) == size]


def _title(tuning: Tuning) -> str:
    of = f" of {tuning.total:,}" if tuning.total is not None else ""
    what = f"{tuning.label}: " if tuning.label else ""
    return f"{what}measured on {tuning.items}{of} items · {price(tuning.spent, local=tuning.local)}"


def _rows(tuning: Tuning) -> Iterator[tuple[str, ...]]:
    for one in tuning.measured:
        names = ", ".join(named(tuning, one.size))
        configured = "configured" if one.size == tuning.base else ""
        told = one.problem or " · ".join(filter(None, (names, configured)))
        numbers = ("", "", "")
        if one.seconds:
            cost = money(1000 * one.cost) if tuning.shared else ""
            numbers = (duration(one.time), cost, f"{one.used:,} MB")
        yield f"{one.size.memory:,} MB", one.size.architecture, *numbers, told


def _sentences(tuning: Tuning) -> list[str]:
    found = []
    if tuning.shared and tuning.candidates and tuning.total:
        for name in CHOICES:
            size = tuning.choice(name)
            assert size is not None
            found.append(f"{name}: {_size(size)}, {_job(tuning, size, tuning.total)}")
    elif not tuning.shared:
        used = max(one.used for one in tuning.measured)
        found.append(f"{used:,} MB of memory are used: {enough(used):,} MB are enough, and more only buys CPU on AWS.")
    return [*found, *(f"Note: {note}" for note in tuning.notes)]


def _job(tuning: Tuning, size: Size, tasks: int) -> str:
    estimate = tuning.estimate(size, tasks)
    assert estimate is not None
    between = f"{money(estimate.low)} to {money(estimate.high)}"
    return f"{plural(tasks, 'task')} for {between}, probably {money(estimate.usd)}"


def _size(size: Size) -> str:
    return f"{size.memory:,} MB on {size.architecture}"


def _plot(tuning: Tuning) -> str:
    """Plot time against cost, one dot per size."""
    shown = tuning.candidates
    if len(shown) < 2:
        return ""
    picture = _svg(tuning, shown)
    image = base64.b64encode(picture.encode()).decode()
    best = "; ".join(f"{name} is {_size(size)}" for name in CHOICES if (size := tuning.choice(name)))
    alt = html.escape(f"Time and cost of a task at {len(shown)} sizes: {best}")
    return f'<img alt="{alt}" style="width:100%;max-width:{_WIDTH}px" src="data:image/svg+xml;base64,{image}">'


def _svg(tuning: Tuning, shown: Sequence[Measured]) -> str:
    across, up = _scale([one.time for one in shown], _WIDTH), _scale([one.cost for one in shown], _HEIGHT)
    parts = [
        f'<text x="{_WIDTH // 2}" y="{_HEIGHT - 6}" text-anchor="middle">time of a task →</text>',
        f'<text x="12" y="{_HEIGHT // 2}" text-anchor="middle" transform="rotate(-90 12 {_HEIGHT // 2})">cost →</text>',
    ]
    for one in shown:
        x, y = across(one.time), _HEIGHT - up(one.cost)
        names = named(tuning, one.size)
        color = _COLORS.get(one.size.architecture, "#777")
        weight = ' font-weight="bold"' if names else ""
        title = f"{_size(one.size)}: {duration(one.time)}, {money(one.cost)}"
        words = html.escape(" ".join((f"{one.size.memory:,}", *names)))
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{5 if names else 3}" fill="{color}"><title>{title}</title></circle>'
        )
        anchor = "end" if x > _WIDTH * 0.7 else "start"
        beside = x + (-8 if anchor == "end" else 8)
        parts.append(f'<text x="{beside:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}"{weight}>{words}</text>')
    style = 'font-family="sans-serif" font-size="11" fill="#888"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {style}>{"".join(parts)}</svg>'


def _scale(values: Sequence[float], room: int) -> Callable[[float], float]:
    low, high = math.log(min(values)), math.log(max(values))
    return lambda value: _EDGE + (math.log(value) - low) / ((high - low) or 1.0) * (room - 2 * _EDGE)
