"""Settings and the Lithops configuration they are read from and saved to."""

from .find import load
from .problems import Problem
from .save import diff, save
from .settings import FileSystem, Settings

__all__ = ["FileSystem", "Problem", "Settings", "diff", "load", "save"]
