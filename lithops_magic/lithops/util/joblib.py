"""joblib's backend "lithops": that of `lithops_magic.register_joblib` under another name."""

from __future__ import annotations


def register_lithops() -> None:
    """Register joblib's backend "lithops"."""
    from lithops_magic.executor.joblib import register_joblib

    register_joblib("lithops")
