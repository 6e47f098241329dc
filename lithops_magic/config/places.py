"""Where on this machine things are kept."""

from __future__ import annotations

import os
from pathlib import Path


def jobs() -> Path:
    """Return the folder of the jobs' folders, whether or not it exists."""
    state = os.environ.get("LITHOPS_MAGIC_STATE_DIR")
    if state:
        return Path(state) / "jobs"
    from platformdirs import user_state_path

    return user_state_path("lithops-magic", appauthor=False) / "jobs"
