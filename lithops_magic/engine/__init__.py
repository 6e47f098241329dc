"""Runs a function over items on AWS Lambda: payloads, chunks, retries, results. Knows neither boto3 nor IPython."""

from __future__ import annotations

from lithops_magic.engine.api import start
from lithops_magic.engine.job.ledger import TaskStats
from lithops_magic.engine.job.snapshot import Snapshot
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.result.map_result import MapResult

__all__ = ["MapOptions", "MapResult", "Snapshot", "TaskStats", "start"]
