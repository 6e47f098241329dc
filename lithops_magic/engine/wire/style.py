"""Lets tasks draw in the notebook's plot style."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable
from typing import Any

_DRAWS = ("matplotlib", "seaborn")
_HERE = ("backend", "interactive", "toolbar", "datapath", "savefig.directory", "keymap", "webagg", "tk", "macosx")
"""Prefixes of settings that concern this machine and its windows."""


def drawing_style(imports: Iterable[str]) -> dict[str, Any]:
    """Return the matplotlib settings that the notebook has changed, if a function with these `imports` draws."""
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None or not any(name.partition(".")[0] in _DRAWS for name in imports):
        return {}
    usual = dict.copy(matplotlib.rcParamsDefault)
    changed: dict[str, Any] = {}
    for name, value in dict.items(matplotlib.rcParams):
        if not name.startswith(_HERE) and repr(value) != repr(usual.get(name)):
            # Values that are not plain data have a text form that matplotlib reads.
            with contextlib.suppress(TypeError, ValueError):
                changed[name] = json.loads(json.dumps(value, default=str))
    return changed
