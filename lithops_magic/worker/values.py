"""What pickles refer to of this package: the sandbox, where it has another name, finds it under this name too."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import CodeType
from typing import Any

__name__ = "lithops_magic.worker.values"


def strings(values: Any, missing: Any) -> Any:
    """Make an array of strings of pandas, whatever its version, in which `missing` is NaN; None: it is pandas' NA."""
    import pandas as pd  # type: ignore[import-untyped]

    # Before 2.3 there is only NA.
    nan = missing is not None and "na_value" in pd.StringDtype.__init__.__code__.co_varnames
    return pd.array(values, pd.StringDtype("python", missing) if nan else "string")


def times(kind: Any, data: Any, freq: Any, name: Any) -> Any:
    """Make an index of times of pandas, whatever its version, with its frequency if that is one there."""
    try:
        return kind(data, freq=freq, name=name)
    except ValueError:
        return kind(data, name=name)


def make(kind: str, args: Any, options: Any) -> Any:
    """Make something that a notebook shows, such as HTML, where there is a notebook."""
    return getattr(importlib.import_module("IPython.display"), kind)(*args, **options)


def code(python: str, *arguments: Any) -> CodeType:
    """Make code, unless it is another Python's: this one would take it, run it and crash."""
    if python != sys.version[:4]:
        raise ValueError(f"it has code of Python {python}")
    return CodeType(*arguments)


_shown: list[Any] = []


def display(*things: Any, **_: Any) -> None:
    """Do in a task what a notebook's function of this name does, as far as `seen` can."""
    _shown.extend(things)


def seen(value: Any) -> Any:
    """Return what a task's value is: if it has none, what it has shown or drawn, which else is printed."""
    things = [*_shown]
    _shown.clear()
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
        # The next task begins without them, and they are not to open where they are unpickled.
        pyplot.close("all")
        things += [figure for figure in figures if all(figure is not one for one in (*things, value))]
    if value is None:
        return things[0] if len(things) == 1 else Shown(things) if things else None
    for thing in things:
        print(thing)  # noqa: T201
    return value


class Rich:
    """Stands in a task for something that a notebook shows."""

    def __init__(self, kind: str, *args: Any, **options: Any) -> None:
        self._made = kind, args, options

    def __reduce__(self) -> Any:
        return make, self._made


def rich(kind: str) -> Any:
    """Return what makes something that a notebook shows."""
    if not kind[0].isupper():
        raise AttributeError(kind)
    return partial(Rich, kind)


class Shown(list[Any]):
    """Several things that a task has shown; a notebook shows each."""

    def _ipython_display_(self) -> None:
        importlib.import_module("IPython.display").display(*self)


class Values(Sequence[Any]):
    """What becomes of a job's result that is pickled: its values, which need neither AWS nor the job any more.

    The error of a task that has none is raised when it is asked for.

    Parameters
    ----------
    values
        One for each task; None for those that have none.
    errors
        Why they have none, by index.
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
        # The inherited one would take a task's IndexError for the end.
        return map(self.__getitem__, range(len(self)))

    def values(self) -> list[Any]:
        """All values; raises the error of a task that has none."""
        return list(self)

    def succeeded(self) -> dict[int, Any]:
        """The values of the tasks that have one, by index."""
        return {index: value for index, value in enumerate(self._values) if index not in self.errors}

    def __repr__(self) -> str:
        return f"{self._values}" + (f" ({len(self.errors)} of them failed)" if self.errors else "")
