"""A notebook cell as a function: module-level code that shares its names with the notebook's functions it calls.

A cell's `model = 5; score(x)` must be what `score` sees, as in a notebook, and must be gone when the next task begins.
So the cell runs in the namespace of the notebook's functions, which all came in one pickle, and that is put back.
"""

from __future__ import annotations

from types import FunctionType, TracebackType
from typing import Any

FILE = "<lithops_magic>"
"""File name of the code around a cell; tracebacks leave it out."""
READS = "__lambda_reads__"
"""Attribute of a cell's code: the names that it may read before it assigns them, and so takes along."""
ITEM, VALUE = ".item", ".value"
"""Names of a cell for what it is given and what it returns: no Python identifiers, so that they hide no variable."""


def is_cell(function: object) -> bool:
    """Whether `function` was made of a notebook cell."""
    return isinstance(function, FunctionType) and function.__code__.co_filename == FILE


def globals_of(function: FunctionType) -> dict[str, Any] | None:
    """Return what a cell's code takes along of the notebook; None if `function` is none."""
    reads = vars(function).get(READS)
    if reads is None:
        return None
    return {name: function.__globals__[name] for name in reads if name in function.__globals__}


class Namespace:
    """Puts the names of a cell's functions back to what they were before a task."""

    task = 0
    """Which one is run."""

    def __init__(self) -> None:
        self._names: dict[str, Any] | None = None
        self._before: dict[str, Any] = {}

    def keep(self, function: object) -> None:
        """Remember the names that `function` sees now, if it is a cell."""
        if is_cell(function):
            self._names = function.__globals__  # type: ignore[attr-defined]
            self._before = dict(self._names)

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._names is not None:
            self._names.clear()
            self._names.update(self._before)
