"""How many generated inputs are tried: a share, fewer where QUICK is set (the fast tier), all where THOROUGH is."""

from __future__ import annotations

import os

from hypothesis import HealthCheck

WITH_FIXTURES = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
"""Health checks that tests with fixtures do without; how long an input takes says nothing on a busy machine."""


def share(usual: int, thorough: int) -> int:
    """Return the number of generated inputs to try."""
    if os.environ.get("THOROUGH"):
        return thorough
    return max(1, usual // 4) if os.environ.get("QUICK") else usual
