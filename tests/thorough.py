"""How many generated inputs are tried: a share every time, fewer where QUICK is set, all where THOROUGH is."""

from __future__ import annotations

import os


def share(usual: int, thorough: int) -> int:
    """Return the number of generated inputs to try."""
    if os.environ.get("THOROUGH"):
        return thorough
    return max(1, usual // 4) if os.environ.get("QUICK") else usual
