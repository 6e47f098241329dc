"""A job as a pandas table, one row per task."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lithops_magic.engine.result.misuse import need

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from lithops_magic.engine.job.ledger import Table
    from lithops_magic.engine.job.snapshot import Snapshot
    from lithops_magic.errors import TaskError

_REST = ("billed_ms", "memory_mb", "cached", "cold", "sandbox", "sent_s", "started_s", "ended_s")
"""Columns shown only on request."""
_NULLABLE = {"integer": "Int64", "boolean": "boolean"}
"""Types for columns that may have empty cells; without them, one failure would turn integers into floats."""


def to_frame(
    table: Table,
    snapshot: Snapshot,
    items: Callable[[int], Any],
    values: Sequence[Any],
    errors: Mapping[int, TaskError],
    began: float,
    *,
    full: bool = False,
) -> pd.DataFrame:
    """Return one row per task, in item order; times are seconds since ``attrs["began"]``.

    Parameters
    ----------
    table
        The tasks' records.
    snapshot
        The state of their job.
    items
        Returns a task's item, or raises if it is not available.
    values
        By index; None if there is none.
    errors
        By index.
    began
        When the job started, in seconds since 1970.
    full
        Whether to include all columns.
    """
    pandas, numpy = (need(name, "to_frame()", "pandas") for name in ("pandas", "numpy"))
    # Imported here, since NumPy is optional.
    costs = need("lithops_magic.engine.result.task_costs", "to_frame()", "numpy")
    number = len(table["index"])
    index = pandas.RangeIndex(number, name="task")

    def objects(cells: Iterable[Any]) -> Any:
        # One element at a time, because pandas would expand values that are sequences.
        column = pandas.Series(numpy.fromiter(cells, dtype=object, count=number), index=index)
        nullable = _NULLABLE.get(pandas.api.types.infer_dtype(column, skipna=True))
        if nullable and any(cell is None for cell in column):
            with contextlib.suppress(OverflowError):  # a number too large for that type
                return column.astype(nullable)
            return column
        return column.infer_objects()

    frame: pd.DataFrame = pandas.DataFrame(
        {
            "item": objects(_item_or_none(items, task) for task in table["index"]),
            "value": objects(values[:number]),
            "error": objects(errors.get(task) for task in table["index"]),
            **{name: table[name] for name in ("state", "duration_s", "max_memory_mb", "attempts")},
            "cost_usd": costs.task_costs(table, snapshot),
            **{name: table[name] for name in (_REST if full else ())},
        },
        index=index,
    )
    frame.attrs["began"] = pandas.Timestamp(began, unit="s", tz="UTC")
    return frame


def _item_or_none(items: Callable[[int], Any], index: int) -> Any:
    try:
        return items(index)
    except Exception:  # not stored, or of a class that this process lacks
        return None
