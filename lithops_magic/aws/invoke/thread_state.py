"""Keeps CPython's thread state for awscrt's thread from one call to the next."""

from __future__ import annotations

import ctypes
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awscrt.http import HttpClientConnection

_LOCKED = 0
"""`PyGILState_LOCKED`: the GIL is held when a state is released, and stays held."""
_thread = threading.local()


def hold(connection: HttpClientConnection) -> None:
    """Keep the calling thread's state until the connection has shut down; call only from the connection's callbacks.

    Whenever a foreign thread calls Python, CPython creates a thread state and maps memory for its stack, and drops both
    when the call returns: for the calls of one invocation, this takes some 50 µs.
    """
    if getattr(_thread, "held", False):
        return
    _thread.held = True
    # Unbalanced on purpose: the state lives until `_release`, and the calls in between only nest in it.
    ctypes.pythonapi.PyGILState_Ensure()
    # Connections shut down in the thread that serves them, before it ends.
    connection.shutdown_future.add_done_callback(_release)


def _release(_: Future[None]) -> None:
    if not getattr(_thread, "held", False):
        return
    _thread.held = False
    ctypes.pythonapi.PyGILState_Release(_LOCKED)
