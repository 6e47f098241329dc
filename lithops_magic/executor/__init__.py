"""The standard library's `Executor` on AWS Lambda, and joblib's backend on top of it. No scheduling here."""

from __future__ import annotations

from lithops_magic.executor.executor import LambdaExecutor
from lithops_magic.executor.joblib import register_joblib

__all__ = ["LambdaExecutor", "register_joblib"]
