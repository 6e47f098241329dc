"""How the notebook draws: tasks draw in the same style."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable
from typing import Any

_DRAWS = ("matplotlib", "seaborn")
_HERE = ("backend", "interactive", "toolbar", "datapath", "savefig.directory", "keymap", "webagg", "tk", "macosx")
"""Settings of this machine and its windows, by how they begin."""


def drawing_style(imports: Iterable[str]) -> dict[str, Any]:
    """Return the settings of matplotlib that the notebook has changed, if a function that has these `imports` draws."""
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None or not any(name.partition(".")[0] in _DRAWS for name in imports):
        return {}
    usual = dict.copy(matplotlib.rcParamsDefault)
    changed: dict[str, Any] = {}
    for name, value in dict.items(matplotlib.rcParams):
        if not name.startswith(_HERE) and repr(value) != repr(usual.get(name)):
            # What is not plain data has a text that matplotlib reads.
            with contextlib.suppress(TypeError, ValueError):
                changed[name] = json.loads(json.dumps(value, default=str))
    return changed
