"""The version: ours, not that of Lithops."""

from __future__ import annotations

import sys

# Not imported from the package itself, which also has the notebook's names.
__version__: str = vars(sys.modules[__name__.partition(".")[0]])["__version__"]
