"""Programs and libraries of others that use this one: the dependency group `users`."""

from __future__ import annotations

from typing import Any

import pytest

INSTALL = "scripts/users installs it"


def library(name: str) -> Any:
    """Import what `pip install -e ".[test]"` does not bring."""
    return pytest.importorskip(name, reason=f"{name.partition('.')[0]} is not here: {INSTALL}")
