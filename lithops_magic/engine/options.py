"""How one job is to be run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KEEP_AFTER = 5.0
"""Seconds: a result that took longer is worth the hundred-thousandth of a dollar that it costs to keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions:
    """How one job is to be run; None means the setting's or the engine's own choice."""

    memory: int | None = None
    """MB of the function; more memory also means more CPU."""
    timeout: int | None = None
    """Seconds one invocation may take."""
    tmp: int | None = None
    """MB of `/tmp` of the function."""
    env: tuple[tuple[str, str], ...] = ()
    """Environment variables of the tasks, as pairs; they travel with the tasks and need no other function."""
    chunksize: int | None = None
    """Tasks per invocation; None adapts it to the measured duration of the tasks."""
    workers: int | None = None
    """Most invocations in flight; None takes what the account allows."""
    retries: int = 2
    """How often a task is tried again after a crash, a time-out or a lost connection; 0 never runs a task twice."""
    retry_errors: bool = False
    """Whether an exception of the function counts as a lost attempt as well, and is retried like one."""
    retry_memory: float | None = None
    """Factor by which a task that ran out of memory gets more at its next attempt; None: the same again."""
    backups: bool = False
    """Whether a task that runs far longer than its peers gets a second copy, the first result wins: only for tasks
    that may run twice."""
    max_cost: float | None = None
    """USD at list price after which nothing more is sent."""
    detach: bool = False
    """Whether the tasks run without this process: asynchronous invocations, results in S3."""
    keep_after: float = KEEP_AFTER
    """Seconds after which a task's result is also kept in S3."""
    errors: Literal["raise", "keep"] = "raise"
    """Whether a failed task raises at the end or is only kept in the result."""
    locals: bool = False
    """Whether an error brings the local variables of the frames that failed."""
    packages: str | tuple[str, ...] | None = None
    """What is asked for beside or instead of the packages that are found; "none" for none at all."""
    label: str = ""
    """What the user calls the job, shown in its repr."""

    @property
    def keeping(self) -> dict[str, list[str]]:
        """What a worker must know of keeping outcomes in S3: the first one stays, so it must not be a retried error."""
        return {"again": ["error"]} if self.retry_errors else {}

    def __post_init__(self) -> None:
        for name in ("memory", "timeout", "tmp", "chunksize", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.retries < 0:
            raise ValueError(f"retries must be at least 0, not {self.retries}")
        if self.retry_memory is not None and self.retry_memory <= 1:
            raise ValueError(f"retry_memory must be more than 1, not {self.retry_memory}")
        if self.max_cost is not None and self.max_cost <= 0:
            raise ValueError(f"max_cost must be more than 0, not {self.max_cost}")
        if self.errors not in ("raise", "keep"):
            raise ValueError(f"errors must be 'raise' or 'keep', not {self.errors!r}")
