"""The folders with installed packages, by which one can tell whether something was installed or removed."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def site_folders() -> tuple[tuple[str, int], ...]:
    """Return the folders with installed packages, and when each last changed."""
    return tuple((folder, _changed(folder)) for folder in sys.path if _is_one(folder))


def _is_one(folder: str) -> bool:
    return Path(folder).is_dir() and next(Path(folder).glob("*.dist-info"), None) is not None


def _changed(folder: str) -> int:
    return os.stat(folder or os.curdir).st_mtime_ns  # noqa: PTH116
