"""Runs a function over items on AWS Lambda: payloads, chunks, retries, results. Knows neither boto3 nor IPython."""

from __future__ import annotations

from lithops_magic.engine.api import start
from lithops_magic.engine.ledger import TaskStats
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.result import MapResult
from lithops_magic.engine.snapshot import Snapshot

__all__ = ["MapOptions", "MapResult", "Snapshot", "TaskStats", "start"]
