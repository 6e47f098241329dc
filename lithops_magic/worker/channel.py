"""Messages between the worker's processes: importing `multiprocessing` would slow every cold start by 15 ms."""

from __future__ import annotations

import marshal
import os
from typing import Any

_LENGTH = 8


class Channel:
    """One end of two pipes for plain data."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming, self._outgoing = incoming, outgoing

    @property
    def descriptors(self) -> tuple[int, int]:
        """The file descriptors of both pipes."""
        return self.incoming, self._outgoing

    def send(self, message: Any) -> None:
        """Send a message; raises OSError if the other end is closed."""
        data = marshal.dumps(message)
        # Even a full pipe takes at least a page at a time.
        sent = os.writev(self._outgoing, [len(data).to_bytes(_LENGTH, "big"), data])
        write(self._outgoing, memoryview(data)[sent - _LENGTH :])

    def receive(self) -> Any:
        """Wait for a message; raises EOFError if the other end is closed."""
        return marshal.loads(self._read(int.from_bytes(self._read(_LENGTH), "big")))

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            if not (count := os.readv(self.incoming, [view])):
                raise EOFError
            view = view[count:]
        return data


def write(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
