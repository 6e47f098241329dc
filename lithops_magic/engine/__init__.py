"""Runs a function over items on AWS Lambda: payloads, chunks, retries, results. Knows neither boto3 nor IPython."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lithops_magic.engine.api import start
    from lithops_magic.engine.job.ledger import TaskStats
    from lithops_magic.engine.job.snapshot import Snapshot
    from lithops_magic.engine.options import MapOptions
    from lithops_magic.engine.result.map_result import MapResult

__all__ = ["MapOptions", "MapResult", "Snapshot", "TaskStats", "start"]

_HOMES = {
    "MapOptions": "options",
    "MapResult": "result.map_result",
    "Snapshot": "job.snapshot",
    "TaskStats": "job.ledger",
    "start": "api",
}


def __getattr__(name: str) -> object:
    """Import an exported name on first use: a first job starts the local AWS before it imports most of the engine."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lithops_magic.engine' has no attribute {name!r}")
    value: object = getattr(import_module(f"lithops_magic.engine.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
