"""Has this process import us where a program says `import lithops`."""

from __future__ import annotations

import sys
from importlib import import_module

NAME = "lithops"
_MODULES = (
    "config",
    "constants",
    "executors",
    "future",
    "multiprocessing",
    "multiprocessing.config",
    "multiprocessing.pool",
    "multiprocessing.process",
    "retries",
    "storage",
    "storage.cloud_proxy",
    "storage.storage",
    "storage.utils",
    "util",
    "util.joblib",
    "utils",
    "version",
    "wait",
)


def install() -> None:
    """Take the place of Lithops, whether it is installed or not."""
    package = __package__
    sys.modules[NAME] = import_module(package)
    for name in _MODULES:
        sys.modules[f"{NAME}.{name}"] = import_module(f"{package}.{name}")
