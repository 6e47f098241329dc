"""A notebook cell as a function: module-level code that shares its names with the notebook's functions it calls.

In a cell `model = 5; score(x)`, `score` must see `model`, as in a notebook, but the next task must not. So the cell
runs in the namespace of the notebook's functions, which all came in one pickle, and that is restored afterwards.
"""

from __future__ import annotations

from types import FunctionType, TracebackType
from typing import Any

FILE = "<lithops_magic>"
"""File name of the wrapper code around a cell; tracebacks omit it."""
READS = "__lambda_reads__"
"""Attribute of a cell's code: the names it may read before assigning them, which are shipped with it."""
ITEM, VALUE = ".item", ".value"
"""A cell's names for its item and its value: not valid identifiers, so that they cannot hide a variable."""


def is_cell(function: object) -> bool:
    """Whether `function` was made from a notebook cell."""
    return isinstance(function, FunctionType) and function.__code__.co_filename == FILE


def globals_of(function: FunctionType) -> dict[str, Any] | None:
    """Return the notebook's names that are shipped with a cell; None if `function` is not a cell."""
    reads = vars(function).get(READS)
    if reads is None:
        return None
    return {name: function.__globals__[name] for name in reads if name in function.__globals__}


class Namespace:
    """Restores the namespace of a cell's functions before each task."""

    task = 0
    """The index of the task that is run."""

    def __init__(self) -> None:
        self._names: dict[str, Any] | None = None
        self._before: dict[str, Any] = {}

    def save(self, function: object) -> None:
        """Save the names that `function` sees now, if it is a cell."""
        if is_cell(function):
            self._names = function.__globals__  # type: ignore[attr-defined]
            self._before = dict(self._names)

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._names is not None:
            self._names.clear()
            self._names.update(self._before)
