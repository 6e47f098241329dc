"""Parallel Python from a notebook on AWS Lambda."""

from __future__ import annotations

from importlib import import_module

# Not from `typing`, whose import would cost more than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from lithops_magic import errors
    from lithops_magic.config import Settings
    from lithops_magic.engine import MapOptions, MapResult
    from lithops_magic.engine.api import map
    from lithops_magic.engine.attach import JobRecord, attach, jobs
    from lithops_magic.notebook.extension import load_ipython_extension, unload_ipython_extension

__version__ = "0.1.0"

__all__ = [
    "JobRecord",
    "MapOptions",
    "MapResult",
    "Settings",
    "attach",
    "errors",
    "jobs",
    "load_ipython_extension",
    "map",
    "unload_ipython_extension",
]

_HOMES = {
    "JobRecord": "lithops_magic.engine.attach",
    "MapOptions": "lithops_magic.engine",
    "MapResult": "lithops_magic.engine",
    "Settings": "lithops_magic.config",
    "attach": "lithops_magic.engine.attach",
    "jobs": "lithops_magic.engine.attach",
    "load_ipython_extension": "lithops_magic.notebook.extension",
    "map": "lithops_magic.engine.api",
    "unload_ipython_extension": "lithops_magic.notebook.extension",
}


def __getattr__(name: str) -> object:
    """Import an exported name on first use, so that importing the package costs next to nothing."""
    if name == "errors":
        return import_module("lithops_magic.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'lithops_magic' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
