"""joblib's back-end "lithops": that of `lithops_magic.register_joblib` by another name."""

from __future__ import annotations


def register_lithops() -> None:
    """Have joblib know the back-end "lithops"."""
    from lithops_magic.executor.joblib import register_joblib

    register_joblib("lithops")
