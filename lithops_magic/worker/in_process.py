"""Answers requests in this process where it cannot fork: in the local AWS on Windows."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from . import functions
from .answer import answer
from .archive import install_archives
from .capture import Capture, Log

_job: tuple[Any, ...] | None = None


def run(event: dict[str, Any], head: dict[str, Any], end: float) -> dict[str, Any]:
    """Answer a request; parameters as of `job.run`."""
    if "error" not in head and (problem := install_archives()):
        head["error"] = problem
    global _job
    sources = event.get("sources") or {}
    job = event.get("key"), event.get("function", {}).get("sha256"), sources.get("sha256")
    if job != _job or not job[0]:
        functions.forget()
        _job = job
    with _captured() as log:
        return answer(event, head, end, log)


class _Tee:
    """A standard stream that also fills a capture."""

    def __init__(self, stream: Any, capture: Capture) -> None:
        self._stream, self._capture = stream, capture

    def write(self, text: str) -> int:
        self._capture.add(text.encode("utf-8", "backslashreplace"))
        self._stream.write(text.encode("ascii", "backslashreplace").decode())
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _captured() -> Iterator[Log]:
    capture = Capture()
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Tee(streams[0], capture), _Tee(streams[1], capture)
    try:
        yield capture.take
    finally:
        sys.stdout, sys.stderr = streams
