"""Failures of the worker itself, not of the code it runs."""

# ruff: noqa: PTH119 - importing pathlib would slow every cold start

from __future__ import annotations

import os
import traceback

LONGEST = 500
"""Characters of a message."""


class Fault(Exception):
    """This sandbox can no longer be trusted: it is replaced."""


def describe(error: BaseException) -> str:
    """Say in one line what failed, and where."""
    if isinstance(error, Fault):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:LONGEST]}{place}"
