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
        write(self._outgoing, len(data).to_bytes(_LENGTH, "big") + data)

    def receive(self) -> Any:
        """Wait for a message; raises EOFError if the other end is closed."""
        return marshal.loads(self._read(int.from_bytes(self._read(_LENGTH), "big")))

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)

    def _read(self, size: int) -> bytearray:
        data = bytearray()
        while len(data) < size:
            part = os.read(self.incoming, min(size - len(data), 2**20))
            if not part:
                raise EOFError
            data += part
        return data


def write(descriptor: int, data: bytes) -> None:
    """Write all of `data`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
