"""The working folder, which may have been deleted or be inaccessible."""

from __future__ import annotations

from pathlib import Path


def working_folder() -> Path:
    """Return its path; if it no longer exists, the empty path, below which no file is found."""
    try:
        return Path.cwd()
    except OSError:
        return Path()
