"""Ends the sandbox once its reply was sent and it is idle; a request that comes sooner has a process of its own."""

from __future__ import annotations

import os
import sys
import threading
import time

_IDLE = "wait_next_invocation"
"""What AWS's runtime client is in while it has nothing to do; it is called when the reply was sent."""
_LOOK = 0.005
"""Seconds between looks. It must be seen idle twice: at first its call may be on its way, and the reply not yet out."""


def end_after_reply() -> None:
    """End this process as soon as it waits for the next request."""
    threading.Thread(target=_end, args=(threading.get_ident(),), daemon=True).start()


def _end(thread: int) -> None:
    idle = 0
    while idle < 2:
        time.sleep(_LOOK)
        idle = idle + 1 if _is_idle(thread) else 0
    os._exit(1)


def _is_idle(thread: int) -> bool:
    frame = sys._current_frames().get(thread)
    while frame is not None and frame.f_code.co_name != _IDLE:
        frame = frame.f_back
    return frame is not None
