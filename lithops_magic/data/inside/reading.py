"""Reads an object ahead of its consumer over several connections, as a file."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator

BLOCK = 8 * 2**20
"""Bytes per request: enough for the latency not to matter."""
CONNECTIONS = 4
"""Concurrent requests: one connection to S3 does not saturate a sandbox's bandwidth."""
TAIL = 65_536
"""Bytes beyond a part included in its last request: most records end within them."""
INLINE = 2**20
"""Bytes up to which an object is read in one request, without a thread."""

Read = Callable[[int, int], bytes]


class _Fetch(threading.Thread):
    def __init__(self, read: Read, low: int, high: int) -> None:
        super().__init__(name=f"read-{low}", daemon=True)
        self._read, self._range = read, (low, high)
        self._data = b""
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._data = self._read(*self._range)
        except BaseException as error:
            self._error = error

    def result(self) -> bytes:
        self.join()
        # Raised where the bytes are awaited: an exception in a thread would be lost.
        if self._error is not None:
            raise self._error
        return self._data


def ahead(read: Read, at: int, end: int, size: int) -> Iterator[bytes]:
    """Yield an object's bytes from `at`: up to `end` with read-ahead, the rest on demand."""
    if end - at <= INLINE:
        if end > at:
            yield read(at, end)
    else:
        running: deque[_Fetch] = deque()
        # Equal blocks: a remainder within TAIL is spread over the others, because it is not worth a request of its own.
        count = max(1, (end - at - TAIL) // BLOCK + bool((end - at - TAIL) % BLOCK > TAIL))
        for each in range(count):
            low, high = (at + (end - at) * edge // count for edge in (each, each + 1))
            running.append(_Fetch(read, low, high))
            if len(running) == CONNECTIONS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    piece = TAIL
    while end < size:
        start, end = end, min(size, end + piece)
        yield read(start, end)
        # A record may end far beyond the part: each step back to S3 brings more.
        piece = min(2 * piece, BLOCK)


class Chunks(io.RawIOBase):
    """A raw file of the bytes from an iterator."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def readall(self) -> bytes:
        # Reads of 8 kB, the default, would make as many copies.
        found = [bytes(self._rest), *self._chunks]
        self._rest = memoryview(b"")
        return found[1] if len(found) == 2 and not found[0] else b"".join(found)


class Stream(io.BufferedReader):
    """A file of a part's bytes whose lines are the records, whatever their separator.

    Parameters
    ----------
    chunks
        The bytes.
    newline
        The separator.
    refusal
        Why the bytes cannot be read by line, if so.
    """

    def __init__(self, chunks: Iterator[bytes], newline: bytes = b"\n", refusal: str = "") -> None:
        super().__init__(Chunks(chunks), 2**18)
        self._newline, self._refusal = newline, refusal
        self._ahead = b""

    def _has_lines_of_its_own(self) -> bool:
        if self._refusal:
            raise io.UnsupportedOperation(self._refusal)
        return self._newline != b"\n"

    def __next__(self) -> bytes:
        if not self._has_lines_of_its_own():
            return super().__next__()
        if line := self.readline():
            return line
        raise StopIteration

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next record with its separator, or at most `size` bytes of it; empty at the end."""
        limit = -1 if size is None else size
        if not self._has_lines_of_its_own():
            return super().readline(limit)
        line = bytearray()
        while limit < 0 or len(line) < limit:
            seen = self.peek(1)
            if not seen:
                break
            # A separator may have begun in bytes already taken.
            before = max(0, len(line) - len(self._newline) + 1)
            found = (bytes(line[before:]) + seen).find(self._newline)
            taken = len(seen) if found < 0 else found + len(self._newline) - (len(line) - before)
            if limit >= 0:
                taken, found = (taken, found) if taken <= limit - len(line) else (limit - len(line), -1)
            line += self.read(taken)
            if found >= 0:
                break
        return bytes(line)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Return the remaining records, or about `hint` bytes of them."""
        if not self._has_lines_of_its_own():
            return super().readlines(-1 if hint is None else hint)
        lines, size = [], 0
        while (hint is None or hint <= 0 or size < hint) and (line := self.readline()):
            lines.append(line)
            size += len(line)
        return lines
