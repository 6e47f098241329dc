"""State that must not leak from one task to the next: environment variables, working folder, `sys.path`, umask."""

# ruff: noqa: PTH109 - importing pathlib would slow every cold start

from __future__ import annotations

import contextlib
import os
import sys


class Surroundings:
    """A snapshot of that state, restored before the next task."""

    def __init__(self) -> None:
        self._environ, self._variables = os.environ, dict(os.environ)
        self._saved = dict(_raw())
        self._path, self._places = sys.path, list(sys.path)
        self._folder = os.getcwd()
        self._umask = os.umask(0o22)
        os.umask(self._umask)

    def restore(self) -> None:
        """Restore what differs."""
        if os.environ is not self._environ or _raw() != self._saved:
            os.environ = self._environ  # noqa: B003 - drop what a task has put in its place
            os.environ.clear()
            os.environ.update(self._variables)
        if sys.path is not self._path or sys.path != self._places:
            sys.path = self._path
            sys.path[:] = self._places
        with contextlib.suppress(OSError):
            os.chdir(self._folder)
        os.umask(self._umask)


def _raw() -> dict[bytes, bytes]:
    """Return the raw variables: decoding them for each of many tiny tasks would take longer than the task."""
    raw: dict[bytes, bytes] = vars(os.environ).get("_data", {})
    return raw
