"""Captures what one task prints and logs, within limits, without keeping it from CloudWatch."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

LIMIT = 65_536
"""Characters kept of what one task prints: half from its start, half from its end."""


class Capture:
    """The head and the tail of a text of any length."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._room = LIMIT // 2
        self._tail: deque[str] = deque()
        self._kept = self._cut = 0

    def keep(self, text: str) -> None:
        """Add `text`."""
        head, rest = text[: self._room], text[self._room :]
        self._room -= len(head)
        self._head.append(head) if head else None
        if rest:
            self._tail.append(rest)
            self._kept += len(rest)
        while self._tail and self._kept - len(self._tail[0]) >= LIMIT // 2:
            self._kept -= len(self._tail[0])
            self._cut += len(self._tail.popleft())

    def text(self) -> str:
        """What was kept, and how much was not."""
        tail = "".join(self._tail)
        extra = max(0, len(tail) - LIMIT // 2)
        cut = self._cut + extra
        return encodable("".join(self._head) + (f"\n[… {cut:,} characters cut …]\n" if cut else "") + tail[extra:])


def encodable(text: str) -> str:
    """Return `text` with lone surrogates escaped: the runtime could not send them."""
    return text.encode("utf-8", "backslashreplace").decode()


class _Tee:
    """A standard stream that also fills a capture."""

    def __init__(self, stream: Any, capture: Capture) -> None:
        self._stream, self._capture = stream, capture

    def write(self, text: str) -> int:
        self._capture.keep(text)
        try:
            self._stream.write(text)
        except UnicodeEncodeError:  # what the sandbox's locale cannot show must not fail the task
            self._stream.write(text.encode("ascii", "backslashreplace").decode())
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _LogHandler(logging.Handler):
    """Only adds records to the capture: the runtime's own handler takes them to CloudWatch."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
        self._capture = capture

    def emit(self, record: logging.LogRecord) -> None:
        self._capture.keep(self.format(record) + "\n")


@contextlib.contextmanager
def captured() -> Iterator[Capture]:
    """Capture standard output, standard error and log records."""
    capture = Capture()
    handler = _LogHandler(capture)
    logging.getLogger().addHandler(handler)
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Tee(streams[0], capture), _Tee(streams[1], capture)
    try:
        yield capture
    finally:
        sys.stdout, sys.stderr = streams
        logging.getLogger().removeHandler(handler)
