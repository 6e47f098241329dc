"""The progress bar shown while waiting."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def bar(**options: Any) -> Any:
    """Return a tqdm bar for a terminal or a notebook."""
    # Imported by name, so that tqdm is not shipped to tasks, which show no bar.
    return import_module("tqdm.auto").tqdm(**{"disable": None, **options})
