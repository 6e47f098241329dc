"""The version: ours, not that of Lithops."""

from __future__ import annotations

import sys

# Not imported from there, where the notebook's names are as well.
__version__: str = vars(sys.modules[__name__.partition(".")[0]])["__version__"]
