"""The settings, and the Lithops configuration they are read from and saved to."""

from __future__ import annotations

from lithops_magic.exports import on_first_use

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

# The magics need the limits of options immediately, YAML only later.
__getattr__ = on_first_use(__name__, _HOMES)
