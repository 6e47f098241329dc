"""Arrays and frames of every kind that must cross between two versions of numpy and pandas; shipped to sandboxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]

FRAMES = {
    "frame": lambda: pd.DataFrame({"n": [1, 2], "s": ["é", None], "t": pd.date_range("2020", periods=2)}),
    "series": lambda: pd.Series(["a", None, "c"], index=list("xyz"), name="letters"),
    "string": lambda: pd.Series(["a", None], dtype="string"),
    "index": lambda: pd.Index(list("ab"), name="n"),
    "levels": lambda: pd.MultiIndex.from_product([list("ab"), [1, 2]], names=["x", "y"]),
    "category": lambda: pd.Series(list("aba"), dtype="category"),
    "zones": lambda: pd.Series(pd.date_range("2020", periods=2, tz="UTC")),
    "months": lambda: pd.date_range("2020", periods=3, freq="ME", name="m"),
    "hours": lambda: pd.timedelta_range("1h", periods=3),
    "nullable": lambda: pd.DataFrame({"i": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")}),
    "array": lambda: np.arange(6.0).reshape(2, 3),
    "objects": lambda: np.array(["a", 1, None], dtype=object),
    "records": lambda: np.array([(1.5, 2)], dtype=[("a", "f8"), ("b", "i4")]),
    "number": lambda: np.float64(1.5),
}
"""Values to exchange between two versions; they are equal if `written` gives the same for both."""


def written(value: Any) -> list[Any]:
    """A value in a form that is the same in all versions of pandas and numpy."""
    if isinstance(value, np.ndarray | np.generic):
        return [value.dtype.str if value.dtype.names is None else value.dtype.names, value.tolist()]
    if isinstance(value, pd.Index):
        return [list(value.names), [str(one) for one in value], getattr(value, "freqstr", None)]
    frame = value.to_frame() if isinstance(value, pd.Series) else value
    rows = [["" if pd.isna(cell) else str(cell) for cell in row] for row in frame.itertuples()]
    return [[str(name) for name in frame.columns], rows]
