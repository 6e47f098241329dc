"""How many generated inputs are tried: a share, fewer where QUICK is set (the fast tier), all where THOROUGH is."""

from __future__ import annotations

import os


def share(usual: int, thorough: int) -> int:
    """Return the number of generated inputs to try."""
    if os.environ.get("THOROUGH"):
        return thorough
    return max(1, usual // 4) if os.environ.get("QUICK") else usual
