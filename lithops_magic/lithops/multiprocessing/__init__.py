"""`multiprocessing` on AWS Lambda: `Pool` and `Process`; names that need shared memory raise what to use instead."""

from __future__ import annotations

import sys
from multiprocessing import AuthenticationError, BufferTooShort, ProcessError, TimeoutError, get_logger, log_to_stderr
from typing import Any

from lithops_magic.errors import MisuseError
from lithops_magic.executor.executor import MANY
from lithops_magic.lithops.multiprocessing import config
from lithops_magic.lithops.multiprocessing.pool import AsyncResult, Pool
from lithops_magic.lithops.multiprocessing.process import (
    CloudProcess as Process,
)
from lithops_magic.lithops.multiprocessing.process import (
    active_children,
    current_process,
    parent_process,
)

__all__ = [
    "AsyncResult",
    "AuthenticationError",
    "BufferTooShort",
    "Pool",
    "Process",
    "ProcessError",
    "TimeoutError",
    "active_children",
    "config",
    "cpu_count",
    "current_process",
    "freeze_support",
    "get_all_start_methods",
    "get_context",
    "get_logger",
    "get_start_method",
    "log_to_stderr",
    "parent_process",
    "set_start_method",
]

_SHARED = {
    **dict.fromkeys(
        ("Array", "RawArray", "RawValue", "Value"), "return each call's value, and combine the values here"
    ),
    **dict.fromkeys(
        ("JoinableQueue", "Pipe", "Queue", "SimpleQueue"),
        "pass data to calls as arguments, and take results as they arrive (imap_unordered)",
    ),
    **dict.fromkeys(
        ("Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"),
        "calls that need not wait for each other, a Pool with fewer processes, or conditional writes to S3 or DynamoDB",
    ),
    **dict.fromkeys(("Manager", "SyncManager", "shared_memory"), "objects in S3 (put_cloudobject) or a database"),
    "util": "a call's output is in its future's `logs`, and is printed when a Process is joined",
}
"""Names that need shared memory, and what to use instead."""


def __getattr__(name: str) -> Any:
    if name in _SHARED:
        raise MisuseError(f"multiprocessing.{name}: sandboxes share no memory; use instead: {_SHARED[name]}.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def cpu_count() -> int:
    """Return how many calls may run at once with AWS's default concurrency limit."""
    return MANY


def get_context(method: str | None = None) -> Any:
    """Return this module: there is only one way to start a call."""
    return sys.modules[__name__]


def get_start_method(allow_none: bool = False) -> str:
    """Return how calls are started."""
    return "cloud"


def get_all_start_methods() -> list[str]:
    """Return how calls can be started."""
    return ["cloud"]


def set_start_method(method: str | None, force: bool = False) -> None:
    """Do nothing: there is only one way to start a call."""


def freeze_support() -> None:
    """Do nothing: no program is restarted."""
