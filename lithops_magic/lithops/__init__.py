"""Lithops' API on our engine: a program changes only its import: `import lithops_magic.lithops as lithops`."""

from __future__ import annotations

from lithops_magic.lithops.executors import (
    FunctionExecutor,
    LocalhostExecutor,
    ServerlessExecutor,
    StandaloneExecutor,
)
from lithops_magic.lithops.retries import RetryingFunctionExecutor
from lithops_magic.lithops.storage import Storage
from lithops_magic.lithops.version import __version__
from lithops_magic.lithops.wait import get_result, wait

__all__ = [
    "FunctionExecutor",
    "LocalhostExecutor",
    "RetryingFunctionExecutor",
    "ServerlessExecutor",
    "StandaloneExecutor",
    "Storage",
    "__version__",
    "get_result",
    "wait",
]
