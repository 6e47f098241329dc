"""What makes moto ready in a third of the time: each model is parsed once, and no garbage is looked for meanwhile."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, Loader

_MODIFIED = frozenset({"s3", "s3control"})
"""Clients of these services change their model: they strip bucket or account from its paths (`botocore.handlers`)."""


def parse_models_once() -> None:
    """Have all sessions of this process share botocore's models: moto makes one for each service and partition."""
    load, parsed = JSONFileLoader.load_file, {}
    list_services, listed = Loader.list_available_services, {}

    def list_once(loader: Loader, type_name: str) -> list[str]:
        """Look through botocore's 400 folders once, and not for each session and type of file."""
        key = (type_name, *loader.search_paths)
        if key not in listed:
            listed[key] = list_services(loader, type_name)
        return list(listed[key])

    def load_once(loader: JSONFileLoader, path: str) -> Any:
        if _MODIFIED.intersection(Path(path).parts):
            return load(loader, path)
        if path not in parsed:
            parsed[path] = load(loader, path)
        return parsed[path]

    setattr(JSONFileLoader, "load_file", load_once)  # noqa: B010
    setattr(Loader, "list_available_services", list_once)  # noqa: B010


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Do without garbage collection while much is made that stays, and leave all that out of later collections."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
