"""Makes Python's full garbage collections rare while a job runs.

A full collection looks at every object in the process. A job with a hundred thousand tasks in flight triggers one a
second, each of which stops all threads for a third of a second and frees nothing. Between those that the job is worth,
what survived the last one is frozen, and only newer objects are looked at. At the end, all is as it was before.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

SHARE = 0.02
"""Share of the time that full collections may take."""
_FULL = 2
"""Their generation."""
_FROM_START = 1000
"""Python 3.12 itself freezes a few hundred objects when it starts; `gc.freeze()` freezes tens of thousands."""


class _Freezer:
    """Freezes what survives a full collection, until another one is due."""

    def __init__(self) -> None:
        self.jobs = 0
        self.helps: bool | None = None
        self._began = self._due = 0.0

    def __call__(self, phase: str, info: Mapping[str, Any]) -> None:
        """Handle the start or the stop of a collection: Python calls this in any thread, wherever it allocates."""
        if info["generation"] != _FULL:
            return
        if self.helps is None:
            # Not when a job starts, because counting frozen objects looks at each of them.
            self.helps = gc.get_freeze_count() < _FROM_START
        if not self.helps:
            return
        now = time.perf_counter()
        if phase == "start":
            self._began = now
            if now >= self._due:
                gc.unfreeze()
            return
        if self._began >= self._due:
            self._due = now + (now - self._began) / SHARE
        gc.freeze()


_freezer = _Freezer()
_lock = threading.Lock()


@contextmanager
def rare_full_collections() -> Iterator[None]:
    """Spend at most `SHARE` of the time on full collections, unless the user has frozen objects, which would thaw."""
    with _lock:
        _freezer.jobs += 1
        if _freezer.jobs == 1:
            _freezer.helps = None
            gc.callbacks.append(_freezer)
    try:
        yield
    finally:
        with _lock:
            _freezer.jobs -= 1
            if not _freezer.jobs:
                gc.callbacks.remove(_freezer)
                if _freezer.helps:
                    gc.unfreeze()
