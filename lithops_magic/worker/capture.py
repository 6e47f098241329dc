"""Captures a task's output, within limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

LIMIT = 65_536
"""Bytes kept of one task's output: half from its start, half from its end."""

Log = Callable[[], str]
"""Returns what was printed since the last call."""


class Capture:
    """The head and tail of output of any length."""

    def __init__(self) -> None:
        self._reset()

    def add(self, data: bytes) -> None:
        """Add `data`."""
        head, rest = data[: self._head_left], data[self._head_left :]
        self._head_left -= len(head)
        self._head += head
        if rest:
            self._tail.append(rest)
            self._tail_size += len(rest)
        # Drops whole pieces, which is cheaper than cutting them; `take` cuts the rest.
        while self._tail and self._tail_size - len(self._tail[0]) >= LIMIT // 2:
            self._tail_size -= len(self._tail[0])
            self._cut += len(self._tail.popleft())

    def take(self) -> str:
        """Return what was captured, with a note on what was cut, and start over."""
        tail = b"".join(self._tail)
        extra = max(0, len(tail) - LIMIT // 2)
        cut = self._cut + extra
        note = f"\n[… {cut:,} characters cut …]\n" if cut else ""
        text = _decoded(bytes(self._head)) + note + _decoded(tail[extra:])
        self._reset()
        return text

    def _reset(self) -> None:
        self._head = bytearray()
        self._head_left = LIMIT // 2
        self._tail: deque[bytes] = deque()
        self._tail_size = self._cut = 0


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def encodable(text: str) -> str:
    """Return `text` with lone surrogates escaped: the runtime could not send them."""
    return text.encode("utf-8", "backslashreplace").decode()
