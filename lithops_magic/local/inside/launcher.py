"""Starts one isolated sandbox process and kills everything it spawned; run by path, outside the package.

Protocol: one marshalled specification on standard input, which then stays open as long as the sandbox is to live.
"""

# ruff: noqa: PTH100, PTH120

import os
import sys

if __name__ == "__main__":
    # An isolated interpreter without `site` finds nothing but the standard library. Modules, unlike a script, are
    # compiled once: this is part of every cold start. For the same reason, they import only what is cheap.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from inside.supervisor import main  # type: ignore[import-not-found]

    main()
