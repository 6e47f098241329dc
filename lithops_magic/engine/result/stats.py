"""The records of a job's tasks as a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.ledger import TaskStats
from lithops_magic.engine.result import misuse


class Stats(Sequence[TaskStats]):
    """One record per task, created on access: a job may have millions."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __len__(self) -> int:
        return len(self._job.ledger)

    @overload
    def __getitem__(self, index: int) -> TaskStats: ...
    @overload
    def __getitem__(self, index: slice) -> list[TaskStats]: ...
    def __getitem__(self, index: int | slice) -> TaskStats | list[TaskStats]:
        if isinstance(index, slice):
            return [self._job.stats(i) for i in range(*index.indices(len(self)))]
        return self._job.stats(misuse.position(index, len(self)))

    def __iter__(self) -> Iterator[TaskStats]:
        # All at once under one lock: a lock for each row would be most of the time.
        return iter(self._job.rows())

    def __repr__(self) -> str:
        return f"<stats of {len(self):,} tasks; as a table: to_frame()>"
