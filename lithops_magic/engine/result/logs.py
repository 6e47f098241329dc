"""What tasks printed, formatted for reading: verbatim for one task, line by line and bounded for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from lithops_magic.engine.text.units import plural
from lithops_magic.errors import MisuseError

_SHOWN = 200
"""Maximum lines shown."""
_WIDTH = 500
"""Maximum characters shown per line."""


class Text(str):
    """A string that a notebook shows as is, not as a quoted repr."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002
        printer.text(str(self).rstrip("\n"))


class LogLines(Sequence[tuple[int, str]]):
    """Lines that tasks printed, each with its task's index; the repr shows the first few hundred."""

    def __init__(self, lines: Sequence[tuple[int, str]], sought: str) -> None:
        self._lines = lines
        self._sought = sought

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> tuple[int, str]: ...
    @overload
    def __getitem__(self, index: slice) -> LogLines: ...
    def __getitem__(self, index: int | slice) -> tuple[int, str] | LogLines:
        return LogLines(self._lines[index], self._sought) if isinstance(index, slice) else self._lines[index]

    def __repr__(self) -> str:
        tasks = len({index for index, _ in self._lines})
        count = f"{plural(len(self), 'line')} {self._sought} by {plural(tasks, 'task')}"
        shown = [f"[{index}] {line[:_WIDTH]}{'…' * (len(line) > _WIDTH)}" for index, line in self._lines[:_SHOWN]]
        more = len(self) - len(shown)
        return "\n".join([count, *shown, *([f"… and {plural(more, 'more line')}"] if more else [])])


def find(logs: Mapping[int, str], pattern: str | re.Pattern[str] | None) -> LogLines:
    """Return the lines of `logs` that match `pattern`, with their tasks.

    Raises
    ------
    MisuseError
        `pattern` is not a regular expression.
    """
    lines = _lines(logs)
    if pattern is None:
        return LogLines(list(lines), "printed")
    sought = _compile(pattern)
    return LogLines([line for line in lines if sought.search(line[1])], f"with {sought.pattern!r}")


def tell(lines: Iterable[tuple[str, str]], index: int | None, pattern: str | re.Pattern[str] | None) -> None:
    """Print `lines`, each prefixed with its task or tasks, as they arrive: of one task, or matching a pattern.

    Raises
    ------
    MisuseError
        `pattern` is not a regular expression.
    """
    sought = _compile(pattern or "")
    try:
        for tasks, line in lines:
            if (index is None or _is_of(tasks, index)) and sought.search(line):
                # Flushed, so that a pipe or a log file follows, too.
                print(f"[{tasks.replace('-', '–')}] {line}", flush=True)  # noqa: T201
    except KeyboardInterrupt:
        print("No longer following; the job continues.")  # noqa: T201


def _is_of(tasks: str, index: int) -> bool:
    first, _, last = tasks.partition("-")
    return first.isdecimal() and int(first) <= index <= int(last or first)


def _lines(logs: Mapping[int, str]) -> Iterator[tuple[int, str]]:
    return ((index, line) for index in sorted(logs) for line in logs[index].splitlines())


def _compile(pattern: Any) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, TypeError) as error:
        problem = f"logs: grep={pattern!r} is not a regular expression: {error}"
    raise MisuseError(problem)
