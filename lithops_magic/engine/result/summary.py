"""How a result is displayed in notebooks and terminals: bounded in size, always current, plain strings only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from lithops_magic.engine.result.gallery import is_picture
from lithops_magic.engine.result.memory_advice import memory_advice
from lithops_magic.engine.text import html, tracebacks
from lithops_magic.engine.text.short_repr import clipped, short_repr
from lithops_magic.engine.text.units import duration, factor, money, plural, price
from lithops_magic.errors import TaskOutOfMemory, facts

if TYPE_CHECKING:
    from lithops_magic.engine.job.ledger import TaskStats
    from lithops_magic.engine.job.snapshot import Snapshot
    from lithops_magic.engine.result.map_result import MapResult
    from lithops_magic.errors import TaskError

_WORTH_COMPARING = 1.0
"""Job duration in seconds below which a speed-up is noise."""
_FASTER = 1.05
"""Smallest speed-up worth reporting."""
_WIDTH = 88
"""Maximum characters shown of a value or an error."""
_ENDS = 3
"""Values shown from the start and from the end."""
_ROOM = 20
"""Maximum characters of each."""
_GROUPS = 5
"""Maximum groups of equal errors shown."""
_ROWS = 20
"""Maximum rows in the table of tasks."""


def to_text(result: MapResult) -> str:
    """Return `result` for a terminal: one line of counts, then values, tasks, memory, cost and grouped errors."""
    rows = [
        f"  {name if first else '':<7} {line}"
        for name, lines in _facts(result)
        for first, line in zip((True, *[False] * len(lines)), lines, strict=False)
    ]
    return "\n".join((headline(result), *rows))


def to_html(result: MapResult) -> str:
    """Return `result` for a notebook: the same facts, and an expandable table of tasks."""
    head = f"<div><b>{html.escape(headline(result))}</b></div>"
    return f"<div>{head}{html.facts(_facts(result))}{_task_table(result)}</div>"


def headline(result: MapResult) -> str:
    """Return counts, wall time and speed-up in one line."""
    snapshot = result.snapshot()
    total = len(result)
    parts = [f"{result._label}: {plural(total, 'task')}" if result._label else plural(total, "task")]
    parts += _counts(snapshot, total)
    parts.append(duration(snapshot.elapsed))
    return " · ".join(parts + speedup(snapshot))


def speedup(snapshot: Snapshot) -> list[str]:
    """Return the speed-up over running the tasks in sequence, preparation included; empty if there was none."""
    if snapshot.elapsed < _WORTH_COMPARING or snapshot.speedup < _FASTER:
        return []
    return [f"{factor(snapshot.speedup)} faster than one by one"]


def recalled(snapshot: Snapshot) -> list[str]:
    """Return how many values came from the cache and how many tasks were computed; empty if none came from it."""
    if not snapshot.cached:
        return []
    return [f"{snapshot.cached:,} from cache", f"{snapshot.answered:,} computed"]


def saved(snapshot: Snapshot) -> list[str]:
    """Return what computing the cached values had cost; empty if there are none."""
    return [f"saved ≈ {money(snapshot.saved)}"] if snapshot.cached and snapshot.saved else []


def error_lines(result: MapResult, *, debug: bool = False) -> list[str]:
    """Return one line per group of equal errors, most frequent first.

    Parameters
    ----------
    debug
        Whether each line says how to run the group's first task locally.
    """
    groups, total = tracebacks.group(result.errors), len(result)
    lines = [_line(one.describe(total) + _which(one, total), 2 * _WIDTH) for one in groups[:_GROUPS]]
    if debug:
        ways = (result._debugged(facts(one.errors[0]).index) for one in groups)
        lines = [f"{line} · {way}" if way else line for line, way in zip(lines, ways, strict=False)]
    more = len(groups) - _GROUPS
    return lines if more <= 0 else [*lines, f"… and {plural(more, 'other kind')} of error"]


def _which(group: tracebacks.ErrorGroup, total: int) -> str:
    items = "items" if len(group.errors) > 1 else "item"
    return f" ({items} {group.indices})" if total > 1 else ""


def percentile(ordered: list[float], share: float) -> float:
    """Return the nearest-rank percentile of a non-empty ordered list."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _counts(snapshot: Snapshot, total: int) -> list[str]:
    if snapshot.state == "preparing":
        return [snapshot.phase.rstrip(" .…") or "preparing"]
    if snapshot.state == "finished" and snapshot.done == total:
        return ["all done", *recalled(snapshot)]
    counts = {
        "done": snapshot.done,
        "failed": snapshot.failed,
        "running": snapshot.running,
        "queued": snapshot.queued or 0,
        "never sent": snapshot.cancelled,
    }
    ended = {"cancelled": ["stopped"], "broken": ["ended early"]}.get(snapshot.state, [])
    return [*ended, *(f"{number:,} {what}" for what, number in counts.items() if number), *recalled(snapshot)]


def _facts(result: MapResult) -> Iterator[tuple[str, list[str]]]:
    snapshot = result.snapshot()
    if values := _values(result):
        yield "values", [values]
    if is_picture(result[result._indices("done")[0]] if values else None):
        yield "show", [".show() shows what the first tasks returned, side by side"]
    if result.error is not None:
        yield "ended", [_line(f"{type(result.error).__name__}: {result.error}", 3 * _WIDTH)]
    if result.errors:
        yield "errors", error_lines(result)
    if result.done() and len(result) > snapshot.done and (remedies := _remedies(result)):
        yield "next", [remedies]
    if snapshot.notes:
        yield "note", [_line(note, 2 * _WIDTH) for note in snapshot.notes]
    if times := sorted(result._durations):
        yield "time", [_times(times, snapshot)]
    if snapshot.max_memory_mb:
        # If a task ran out of memory, its error already says so.
        ran_out = any(isinstance(error, TaskOutOfMemory) for error in result.errors.values())
        used, memory = snapshot.max_memory_mb, snapshot.memory_mb
        yield "memory", [f"{used:,} of {memory:,} MB" if ran_out else memory_advice(used, memory)]
    if snapshot.invocations or snapshot.cached:
        spent = [price(result.cost, local=snapshot.local)] if snapshot.invocations else []
        yield "cost", [" · ".join(spent + saved(snapshot)) or "nothing"]
    if printed := result._printed:
        yield "logs", [f"{plural(len(printed), 'task')} printed: .logs({printed[0]}), .logs(grep=…)"]


def _remedies(result: MapResult) -> str:
    """What can be done about tasks without a value; empty if the function is not available."""
    snapshot = result.snapshot()
    left, unsent = len(result) - snapshot.done, snapshot.cancelled
    # Tasks that were never sent are run, not rerun.
    rerun = f".retry() runs {plural(left, 'task')}{' again' if not unsent else ''}" if result._can_retry else ""
    debugged = next(filter(None, map(result._debugged, result.errors)), "")
    return " · ".join(filter(None, [rerun, f"{debugged} runs one here, for %debug" if debugged else ""]))


def _values(result: MapResult) -> str:
    done = result._indices("done")
    # A repr must be quick and bounded however many tasks there are.
    if len(done) <= 2 * _ENDS:
        return _line(", ".join(short_repr(result[i], _WIDTH) for i in done))
    first, last = (
        [_line(short_repr(result[i], _WIDTH), _ROOM) for i in part] for part in (done[:_ENDS], done[-_ENDS:])
    )
    return f"{', '.join(first)} … {', '.join(last)}"


def _times(times: list[float], snapshot: Snapshot) -> str:
    parts = [
        f"median {duration(percentile(times, 0.5))}",
        f"95th percentile {duration(percentile(times, 0.95))}",
        f"longest {duration(times[-1])}",
        plural(snapshot.invocations, "invocation"),
        plural(snapshot.cold_starts, "cold start"),
    ]
    parts += [f"{snapshot.retried:,} retried"] if snapshot.retried else []
    parts += [f"{snapshot.throttled:,} throttled"] if snapshot.throttled else []
    return " · ".join(parts)


def _task_table(result: MapResult) -> str:
    stats = result.stats
    if not stats:
        return ""
    errors = result.errors
    # Failed tasks come first: they are why someone opens the table.
    shown = [*islice(errors, _ROWS), *islice((i for i in range(len(stats)) if i not in errors), _ROWS)][:_ROWS]
    rows = [_task_row(result, stats[index], errors) for index in shown]
    order = ", failed ones first" if errors else ""
    title = f"Tasks ({len(shown):,} of {len(stats):,}{order})" if len(stats) > _ROWS else "Tasks"
    table = html.table(("task", "item", "result", "time", "memory", "attempts"), rows, right={0, 3, 4, 5})
    return f"<details><summary>{title}</summary>{table}</details>"


def _outcome(result: MapResult, task: TaskStats, errors: Mapping[int, TaskError]) -> str:
    if task.state == "done":
        return _line(short_repr(result[task.index], _WIDTH))
    error = errors.get(task.index)
    if error is None:
        return task.state
    details = facts(error)
    return _line(f"✗ {details.traceback.headline if details.traceback else details.message}")


def _task_row(result: MapResult, task: TaskStats, errors: Mapping[int, TaskError]) -> tuple[str, ...]:
    item = _line(result._item_repr(task.index), 2 * _ROOM)
    time = duration(task.duration_s) + (" (cold start)" if task.cold else "") if task.attempts else ""
    memory = f"{task.max_memory_mb:,} MB" if task.max_memory_mb else ""
    return f"{task.index:,}", item, _outcome(result, task, errors), time, memory, f"{task.attempts}"


def _line(text: str, width: int = _WIDTH) -> str:
    return clipped(text, width)
