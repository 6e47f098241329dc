"""The jobs that make an executor's calls: one for all small functions, one for each that is too large to travel."""

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
"""Functions too large to travel with each call that have a job at the same time."""


class Streams:
    """Starts a job when there is a call for it. Used under the executor's lock, but for `end`."""

    def __init__(self, options: MapOptions, settings: Settings | None, begin: Begin | None) -> None:
        self._options = options
        self._told: set[str] = set()
        self._settings = settings
        self._begin = begin
        self._open: OrderedDict[bytes, Stream] = OrderedDict()
        self._replaced: list[Stream] = []
        """Those that take no more calls, and may still have some."""

    def of(self, callee: Callee) -> Stream:
        """Return the job for calls of `callee`, started if there is none."""
        key = callee.pickle if callee.large else b""
        if (known := self._open.get(key)) is not None:
            if key:
                self._open.move_to_end(key)
            return known
        large_one = callee if callee.large else None
        stream = self._open[key] = Stream(self._options, self._loaded(), self._begin, large_one, self.tell)
        self._replaced = [each for each in self._replaced if not each.job.over]
        large = [each for each in self._open if each]
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
        """Warn of what the user should know, once, and at the user's line if this is the user's thread."""
        if text not in self._told:
            self._told.add(text)
            _warn(text)

    def drop(self, stream: Stream) -> None:
        """Have calls go to another job than `stream`, which broke."""
        for key in [key for key, each in self._open.items() if each is stream]:
            del self._open[key]

    @property
    def open(self) -> list[Stream]:
        """Those that take calls."""
        return list(self._open.values())

    @property
    def all(self) -> list[Stream]:
        """Those that may have calls that are not done."""
        return [*self._replaced, *self.open]

    def end(self) -> None:
        """Take no more calls; those that were taken are still done."""
        for stream in self.open:
            stream.end()


def _warn(text: str) -> None:
    depth, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        depth, frame = depth + 1, frame.f_back
    if frame.f_globals.get("__name__") != "threading":
        warnings.warn(text, stacklevel=depth)
        return
    # In a job's thread, no line of the user's is to be shown, and no warning may be an error.
    with suppress(Warning):
        warnings.warn_explicit(text, UserWarning, "LambdaExecutor", 0)
