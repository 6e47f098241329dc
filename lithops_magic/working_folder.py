"""The working folder, which may have been deleted or be inaccessible."""

from __future__ import annotations

from pathlib import Path


def working_folder() -> Path:
    """Return its path; where it has none any more, the relative one, below which nothing is found."""
    try:
        return Path.cwd()
    except OSError:
        return Path()
