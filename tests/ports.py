"""Ports that no other process can take by chance."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """
    A port of 127.0.0.1 that refuses connections until somebody who was told of it listens there.

    A port that is merely found free, or freed by closing its listener, may be given to any other connection of a busy
    machine. Bound to a socket that never listens, it is given to nobody by chance, and whoever asks for it by number
    (with SO_REUSEADDR, as servers do) gets it.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
