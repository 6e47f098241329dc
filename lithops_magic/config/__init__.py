"""The settings, and the Lithops configuration they are read from and saved to."""

from lithops_magic.config.find import load
from lithops_magic.config.problems import Problem
from lithops_magic.config.save import diff, save
from lithops_magic.config.settings import FileSystem, Settings

__all__ = ["FileSystem", "Problem", "Settings", "diff", "load", "save"]
