"""Failures of the worker itself, not of the code it runs, and the end of its sandbox."""

# ruff: noqa: PTH119 - importing pathlib would slow every cold start

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

MAX_MESSAGE = 500
"""Characters of a message."""
_CLIENT = "awslambdaric.lambda_runtime_client"
"""AWS's client of the Runtime API, used by both the managed runtime and container images."""


class Fault(Exception):
    """This sandbox can no longer be trusted: it is replaced."""


def describe(error: BaseException) -> str:
    """Say in one line what failed, and where."""
    if isinstance(error, Fault):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:MAX_MESSAGE]}{place}"


def end_after_reply() -> None:
    """End this process when it asks for its next request.

    By then its reply has arrived and no other request has been assigned to it, so nothing is lost.
    """
    client = sys.modules.get(_CLIENT)
    if client is None:
        os._exit(1)
    client.LambdaRuntimeClient.wait_next_invocation = _end


def _end(_: Any) -> None:
    os._exit(1)
