"""How one job is to be run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions:
    """How one job is to be run; None means the setting's or the engine's own choice."""

    memory: int | None = None
    """MB of the function; more memory also means more CPU."""
    timeout: int | None = None
    """Seconds one invocation may take."""
    chunksize: int | None = None
    """Tasks per invocation; None adapts it to the measured duration of the tasks."""
    workers: int | None = None
    """Most invocations in flight; None takes what the account allows."""
    retries: int = 2
    """How often a task is tried again after a crash, a time-out or a lost connection; 0 never runs a task twice."""
    errors: Literal["raise", "keep"] = "raise"
    """Whether a failed task raises at the end or is only kept in the result."""
    packages: str | tuple[str, ...] | None = None
    """What is asked for beside or instead of the packages that are found; "none" for none at all."""
    label: str = ""
    """What the user calls the job, shown in its repr."""

    def __post_init__(self) -> None:
        for name in ("memory", "timeout", "chunksize", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.retries < 0:
            raise ValueError(f"retries must be at least 0, not {self.retries}")
        if self.errors not in ("raise", "keep"):
            raise ValueError(f"errors must be 'raise' or 'keep', not {self.errors!r}")
