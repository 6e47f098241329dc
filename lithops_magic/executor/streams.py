"""The jobs that make an executor's calls: one for all small functions, and one for each large one."""

from __future__ import annotations

import sys
import warnings
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lithops_magic.engine.calls import Stream
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.wire.call import Begin, Callee

if TYPE_CHECKING:
    from lithops_magic.config import Settings

_OURS = str(Path(__file__).parents[1])
_LARGE = 4
"""Maximum large functions (too large to send with each call) that have a job at the same time."""


class Streams:
    """Starts jobs as calls need them. Used under the executor's lock, except for `end`."""

    def __init__(self, options: MapOptions, settings: Settings | None, begin: Begin | None) -> None:
        self._options = options
        self._told: set[str] = set()
        self._settings = settings
        self._begin = begin
        self._open: OrderedDict[bytes, Stream] = OrderedDict()
        self._replaced: list[Stream] = []
        """Jobs that accept no more calls but may still have some."""

    def of(self, callee: Callee) -> Stream:
        """Return the job for calls of `callee`, starting one if there is none."""
        key = callee.pickle if callee.large else b""
        if (known := self._open.get(key)) is not None:
            if key:
                self._open.move_to_end(key)
            return known
        large_one = callee if callee.large else None
        stream = self._open[key] = Stream(self._options, self._loaded(), self._begin, large_one, self.tell)
        self._replaced = [each for each in self._replaced if not each.job.over]
        large = [each for each in self._open if each]
        # Each has a job and a thread of its own, and a loop may submit a new large function every time.
        if len(large) > _LARGE:
            oldest = self._open.pop(large[0])
            oldest.end()
            self._replaced.append(oldest)
        return stream

    def _loaded(self) -> Settings:
        from lithops_magic import config

        if self._settings is None:
            self._settings = config.load()
            for problem in self._settings.unread:
                self.tell(problem)
        return self._settings

    def tell(self, text: str) -> None:
        """Warn the user once, at their line if this is their thread."""
        if text not in self._told:
            self._told.add(text)
            _warn(text)

    def drop(self, stream: Stream) -> None:
        """Send no more calls to `stream`, which broke."""
        for key in [key for key, each in self._open.items() if each is stream]:
            del self._open[key]

    @property
    def open(self) -> list[Stream]:
        """Jobs that accept calls."""
        return list(self._open.values())

    @property
    def all(self) -> list[Stream]:
        """Jobs that may have unfinished calls."""
        return [*self._replaced, *self.open]

    def end(self) -> None:
        """Accept no more calls; those already submitted are still completed."""
        for stream in self.open:
            stream.end()


def _warn(text: str) -> None:
    depth, frame = 2, sys._getframe(1)
    # A warning should point at the user's line, however deep in our code it arose.
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        depth, frame = depth + 1, frame.f_back
    if frame.f_globals.get("__name__") != "threading":
        warnings.warn(text, stacklevel=depth)
        return
    # In a job's thread, a warning has no user line to point to, and must not become an error.
    with suppress(Warning):
        warnings.warn_explicit(text, UserWarning, "LambdaExecutor", 0)
