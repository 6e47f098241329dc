"""A job as a pandas table, one row per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lithops_magic.engine.costs import task_costs
from lithops_magic.engine.misuse import need

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from lithops_magic.engine.ledger import TaskStats
    from lithops_magic.engine.snapshot import Snapshot
    from lithops_magic.errors import TaskError


def to_frame(
    stats: Sequence[TaskStats],
    snapshot: Snapshot,
    items: Callable[[int], Any],
    values: Callable[[int], Any],
    errors: Mapping[int, TaskError],
    began: float,
) -> pd.DataFrame:
    """Return one row per task, in the order of the items; its times are seconds since ``attrs["began"]``.

    Parameters
    ----------
    stats
        The tasks.
    snapshot
        The job they are of.
    items
        Returns a task's item, or raises if it is not here.
    values
        Returns the value of a task that is done.
    errors
        By index.
    began
        When the job was started, in seconds since 1970.
    """
    pandas, numpy = (need(name, "to_frame()", "pandas") for name in ("pandas", "numpy"))
    index = pandas.RangeIndex(len(stats), name="task")

    def objects(cells: list[Any]) -> Any:
        # Element by element, because pandas would spread out values that are sequences.
        column = numpy.fromiter(cells, dtype=object, count=len(cells))
        return pandas.Series(column, index=index).infer_objects()

    frame: pd.DataFrame = pandas.DataFrame(
        {
            "item": objects([_kept(items, task.index) for task in stats]),
            "value": objects([values(task.index) if task.state == "done" else None for task in stats]),
            "error": objects([errors.get(task.index) for task in stats]),
            "state": [task.state for task in stats],
            "duration_s": [task.duration_s for task in stats],
            "billed_ms": [task.billed_ms for task in stats],
            "cost_usd": task_costs(stats, snapshot),
            "max_memory_mb": [task.max_memory_mb for task in stats],
            "memory_mb": [task.memory_mb for task in stats],
            "attempts": [task.attempts for task in stats],
            "cold": [task.cold for task in stats],
            "sandbox": [task.sandbox for task in stats],
            "sent_s": [task.sent_s for task in stats],
            "started_s": [task.started_s for task in stats],
            "ended_s": [task.ended_s for task in stats],
        },
        index=index,
    )
    frame.attrs["began"] = pandas.Timestamp(began, unit="s", tz="UTC")
    return frame


def _kept(items: Callable[[int], Any], index: int) -> Any:
    try:
        return items(index)
    except Exception:  # not kept, or of a class that this process does not have
        return None
