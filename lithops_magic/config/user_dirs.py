"""Locations of files on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def jobs() -> Path:
    """Return the folder of all job folders, which may not exist."""
    return _state() / "jobs"


def tunings() -> Path:
    """Return the folder of tuning results, which may not exist."""
    return _state() / "tunings"


def _state() -> Path:
    if state := os.environ.get("LITHOPS_MAGIC_STATE_DIR"):
        return Path(state)
    from platformdirs import user_state_path

    return user_state_path("lithops-magic", appauthor=False)


def caches() -> Path:
    """Return the cache folder, whose contents can all be rebuilt; it may not exist."""
    chosen = os.environ.get("LITHOPS_MAGIC_CACHE_DIR")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("lithops-magic", appauthor=False)
