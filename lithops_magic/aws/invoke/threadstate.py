"""Keeps what CPython knows of awscrt's thread from one of its calls to the next."""

from __future__ import annotations

import ctypes
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awscrt.http import HttpClientConnection

_LOCKED = 0
"""`PyGILState_LOCKED`: the lock is held when a state is given back, and stays so."""
_thread = threading.local()


def hold(connection: HttpClientConnection) -> None:
    """Keep the calling thread's state until the connection has shut down; for callbacks of the connection only.

    Whenever a thread that is not Python's own calls Python, CPython makes a state for it, maps memory for its stack,
    and drops both when the call returns: for the calls that one invocation makes, this takes some 50 µs.
    """
    if getattr(_thread, "held", False):
        return
    _thread.held = True
    ctypes.pythonapi.PyGILState_Ensure()
    # Connections shut down on the thread that serves them, before it ends.
    connection.shutdown_future.add_done_callback(_release)


def _release(_: Future[None]) -> None:
    if not getattr(_thread, "held", False):
        return
    _thread.held = False
    ctypes.pythonapi.PyGILState_Release(_LOCKED)
