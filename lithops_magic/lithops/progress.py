"""The bar that is shown while something is waited for."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def bar(**options: Any) -> Any:
    """Return a bar of tqdm, in a terminal or a notebook."""
    # By name: tasks show none, and are not to be shipped tqdm for it.
    return import_module("tqdm.auto").tqdm(**{"disable": None, **options})
