"""What pickles refer to in this package: in the sandbox, where the package has another name, it has an alias."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import CodeType
from typing import Any

__name__ = "lithops_magic.worker.values"


def strings(values: Any, missing: Any) -> Any:
    """Make a pandas string array, whatever the version, with `missing` as its NaN (None: pandas' NA)."""
    import pandas as pd  # type: ignore[import-untyped]

    # Before pandas 2.3, there is only NA.
    nan = missing is not None and "na_value" in pd.StringDtype.__init__.__code__.co_varnames
    return pd.array(values, pd.StringDtype("python", missing) if nan else "string")


def times(kind: Any, data: Any, freq: Any, name: Any) -> Any:
    """Make a pandas index of times, whatever the version, with its frequency if this version has it."""
    try:
        return kind(data, freq=freq, name=name)
    except ValueError:
        return kind(data, name=name)


def make(kind: str, args: Any, options: Any) -> Any:
    """Make something a notebook displays, such as HTML, if there is a notebook."""
    return getattr(importlib.import_module("IPython.display"), kind)(*args, **options)


def code(python: str, *arguments: Any) -> CodeType:
    """Make a code object, but not of another Python version, which would crash this one."""
    if python != sys.version[:4]:
        raise ValueError(f"it has code of Python {python}")
    return CodeType(*arguments)


_shown: list[Any] = []


def display(*things: Any, **_: Any) -> None:
    """IPython's `display` in a task: `result_of` returns or prints what was displayed."""
    _shown.extend(things)


def result_of(value: Any) -> Any:
    """Return a task's value: if it is None, what it has displayed or drawn; otherwise print that."""
    things = [*_shown]
    _shown.clear()
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
        # The next task must not see these figures, and they must not open windows where they are unpickled.
        pyplot.close("all")
        things += [figure for figure in figures if all(figure is not one for one in (*things, value))]
    if value is None:
        return things[0] if len(things) == 1 else Shown(things) if things else None
    for thing in things:
        print(thing)  # noqa: T201
    return value


class Rich:
    """A task's placeholder for something a notebook displays."""

    def __init__(self, kind: str, *args: Any, **options: Any) -> None:
        self._made = kind, args, options

    def __reduce__(self) -> Any:
        return make, self._made


def rich(kind: str) -> Any:
    """Return a constructor for something a notebook displays."""
    if not kind[0].isupper():
        raise AttributeError(kind)
    return partial(Rich, kind)


class Shown(list[Any]):
    """Several things a task has displayed; the notebook displays each."""

    def _ipython_display_(self) -> None:
        importlib.import_module("IPython.display").display(*self)


class Values(Sequence[Any]):
    """The pickled form of a job's result: its values, which no longer need AWS or the job.

    Accessing the value of a failed task raises its error.

    Parameters
    ----------
    values
        One per task; None for those that have none.
    errors
        The failed tasks' errors, by index.
    """

    def __init__(self, values: list[Any], errors: Mapping[int, BaseException]) -> None:
        self._values = values
        self.errors = errors

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(len(self))[index]]
        position = range(len(self))[index]
        if position in self.errors:
            raise self.errors[position].with_traceback(None)
        return self._values[position]

    def __iter__(self) -> Iterator[Any]:
        # The inherited `__iter__` would take a task's IndexError for the end.
        return map(self.__getitem__, range(len(self)))

    def values(self) -> list[Any]:
        """Return all values, or raise a failed task's error."""
        return list(self)

    def succeeded(self) -> dict[int, Any]:
        """Return the values of the tasks that have one, by index."""
        return {index: value for index, value in enumerate(self._values) if index not in self.errors}

    def __repr__(self) -> str:
        return f"{self._values}" + (f" ({len(self.errors)} of them failed)" if self.errors else "")
