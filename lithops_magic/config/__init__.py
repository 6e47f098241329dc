"""The settings, and the Lithops configuration they are read from and saved to."""

from __future__ import annotations

from importlib import import_module

# Not from `typing`, whose import would take longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from lithops_magic.config.find import load
    from lithops_magic.config.problems import Problem
    from lithops_magic.config.save_file import diff, save
    from lithops_magic.config.settings import FileSystem, Settings

__all__ = ["FileSystem", "Problem", "Settings", "diff", "load", "save"]

_HOMES = {
    "FileSystem": "settings",
    "Problem": "problems",
    "Settings": "settings",
    "diff": "save_file",
    "load": "find",
    "save": "save_file",
}


def __getattr__(name: str) -> object:
    """Import an exported name on first use: the magics need the limits of options immediately, YAML only later."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lithops_magic.config' has no attribute {name!r}")
    value: object = getattr(import_module(f"lithops_magic.config.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
