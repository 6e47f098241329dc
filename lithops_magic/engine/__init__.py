"""Runs a function over items on AWS Lambda: payloads, chunks, retries, results. Knows neither boto3 nor IPython."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lithops_magic.exports import on_first_use

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

# A first job starts the local AWS before it imports most of the engine.
__getattr__ = on_first_use(__name__, _HOMES)
