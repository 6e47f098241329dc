"""The handler in the sandbox: a function is called with each item of a chunk, and each outcome reported separately.

The worker needs only Python's standard library and cloudpickle, and boto3 where data do not fit in a request or reply.
`function`, `item` and `reply` in `engine/wire` are the other end of its format.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from . import imports, stub
from .environment import prepare
from .fault import Fault, describe, end_after_reply
from .reply import encoded
from .seal import label, sealed

if hasattr(os, "fork"):
    from .job import run
else:
    from .in_process import run

PROTOCOL = 4
"""Version of requests and replies: raise it when either changes in a way that the other end would misread."""

_SANDBOX = os.urandom(6).hex()
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_cold = True
# In this order: the recorder must be the last finder asked.
stub.install()
imports.install()


def handle(event: dict[str, Any], context: Any) -> Any:
    """Lambda's entry point; the runtime sends bytes as they are."""
    try:
        reply = _reply(event, time.monotonic() + context.get_remaining_time_in_millis() / 1000)
    except Exception as error:
        end_after_reply()
        raise Fault(f"the worker itself failed: {describe(error)}; its sandbox is replaced") from None
    if isinstance(reply, dict) and "not_done" in reply:
        from .detached import NotDone

        raise NotDone(reply["not_done"])
    return reply


def _reply(event: dict[str, Any], end: float) -> Any:
    global _cold
    head: dict[str, Any] = {"protocol": PROTOCOL, "sandbox": _SANDBOX, "cold": _cold, "python": _PYTHON}
    _cold = False
    if problem := _mismatch(event):
        head |= {"error": problem, "mismatch": True}
    prepare()  # before the fork, since the job's process inherits the variables
    key = bytes.fromhex(event.get("key", ""))
    if ids := [task["id"] for task in event.get("tasks", ())]:
        # Marks the log lines that follow as this job's, for those who follow its log.
        last = f"-{ids[-1]}" if len(ids) > 1 else ""
        os.write(1, f"lithops-magic {label(key)} {ids[0]}{last}\n".encode())
    reply = run(event, head, end)
    if event.get("store", {}).get("runs"):
        return reply  # asynchronous: the reply goes nowhere
    # Here, not where tasks run: they may have tampered with json or hashlib.
    return sealed(encoded(reply), key, event.get("request", ""))


def _mismatch(event: dict[str, Any]) -> str:
    for name, here in (("protocol", PROTOCOL), ("python", _PYTHON), ("cloudpickle", cloudpickle.__version__)):
        if event.get(name) != here:
            return (
                f"The notebook has {name} {event.get(name)}, the function {here}: they must be the same. "
                "If a layer or image brings its own, correct that; else use the function's version in the notebook."
            )
    return ""
