"""A job as a pandas table, one row per task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lithops_magic.engine.result.misuse import need

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from lithops_magic.engine.job.ledger import Table
    from lithops_magic.engine.job.snapshot import Snapshot
    from lithops_magic.errors import TaskError

_REST = ("max_memory_mb", "memory_mb", "attempts", "cold", "sandbox", "sent_s", "started_s", "ended_s")


def to_frame(
    table: Table,
    snapshot: Snapshot,
    items: Callable[[int], Any],
    values: Sequence[Any],
    errors: Mapping[int, TaskError],
    began: float,
) -> pd.DataFrame:
    """Return one row per task, in the order of the items; its times are seconds since ``attrs["began"]``.

    Parameters
    ----------
    table
        The tasks.
    snapshot
        The job they are of.
    items
        Returns a task's item, or raises if it is not here.
    values
        By index; None where there is none.
    errors
        By index.
    began
        When the job was started, in seconds since 1970.
    """
    pandas, numpy = (need(name, "to_frame()", "pandas") for name in ("pandas", "numpy"))
    costs = need("lithops_magic.engine.result.task_costs", "to_frame()", "numpy")
    number = len(table["index"])
    index = pandas.RangeIndex(number, name="task")

    def objects(cells: Iterable[Any]) -> Any:
        # Element by element, because pandas would spread out values that are sequences.
        column = numpy.fromiter(cells, dtype=object, count=number)
        return pandas.Series(column, index=index).infer_objects()

    frame: pd.DataFrame = pandas.DataFrame(
        {
            "item": objects(_kept(items, task) for task in table["index"]),
            "value": objects(values[:number]),
            "error": objects(errors.get(task) for task in table["index"]),
            **{name: table[name] for name in ("state", "duration_s", "billed_ms")},
            "cost_usd": costs.task_costs(table, snapshot),
            **{name: table[name] for name in _REST},
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
