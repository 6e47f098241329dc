"""How much of what costs a job each is run: a share every time, all of it where THOROUGH is set in the environment."""

from __future__ import annotations

import os


def share(usual: int, thorough: int) -> int:
    """Return how many are run."""
    return thorough if os.environ.get("THOROUGH") else usual
