"""Programs and libraries of others that use this one: the dependency group `users`."""

from __future__ import annotations

from typing import Any

import pytest

INSTALL = "scripts/users installs it"


def library(name: str) -> Any:
    """Import a library that `pip install -e ".[test]"` does not install, or skip the test."""
    return pytest.importorskip(name, reason=f"{name.partition('.')[0]} is not here: {INSTALL}")
