"""What becomes of a job's result that is pickled: its values, which need neither AWS nor the job any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class Values(Sequence[Any]):
    """The values of a job in the order of its items; the error of a task that has none is raised when it is asked for.

    Parameters
    ----------
    values
        One for each task; None for those that have none.
    errors
        Why they have none, by index.
    """

    # The sandbox has this module under another name, and finds it under this one too.
    __module__ = "lithops_magic.worker.values"

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
            raise self.errors[position]
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
