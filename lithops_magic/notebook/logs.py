"""What tasks printed, as `%lambda_logs` shows it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lithops_magic.engine.units import plural
from lithops_magic.notebook.evaluate import evaluate
from lithops_magic.notebook.grammar import refuse_unknown_flag
from lithops_magic.notebook.options import LOGS, by_flag
from lithops_magic.notebook.run import LAST
from lithops_magic.notebook.usage import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.engine import MapResult

MOST_LINES = 200
"""Lines of many tasks shown at once: an output is saved with its notebook."""

_LINE = re.compile(r"(?P<result>.*?)(?:(?:^|\s+)(?P<index>-?\d+))?", re.DOTALL)


def print_logs(shell: InteractiveShell, source: str, pattern: str | None) -> None:
    """Print what `source`, which is `[RESULT] [INDEX]`, asks for; only lines that match `pattern` if there is one.

    Raises
    ------
    UsageError
        There is no such result or task, or the pattern is none.
    """
    __tracebackhide__ = True
    parts = _LINE.fullmatch(source)
    assert parts is not None
    result = _result(shell, parts["result"])
    if parts["index"] is not None:
        numbers: list[int] = [_position(result, int(parts["index"]))]
    else:
        numbers = list(range(len(result)))
    wanted = _compile(pattern)
    lines = [(number, line) for number in numbers for line in _lines(result, number, wanted)]
    if not lines:
        what = "printed anything" if pattern is None else f"printed a line that matches `{pattern}`"
        sys.stdout.write(f"{'No task' if len(numbers) != 1 else f'Task {numbers[0]} has not'} {what}.\n")
    elif parts["index"] is not None:
        sys.stdout.write("".join(f"{line}\n" for _, line in lines))
    else:
        _write_many(lines)


def _write_many(lines: list[tuple[int, str]]) -> None:
    width = len(f"{lines[-1][0]:,}")
    sys.stdout.write("".join(f"task {number:>{width},} │ {line}\n" for number, line in lines[:MOST_LINES]))
    if len(lines) > MOST_LINES:
        sys.stdout.write(
            f"… and {plural(len(lines) - MOST_LINES, 'more line')}: name a task (%lambda_logs RESULT INDEX) or "
            "filter with --grep PATTERN\n"
        )


def _result(shell: InteractiveShell, source: str) -> MapResult:
    from lithops_magic.engine import MapResult

    __tracebackhide__ = True
    if not source and LAST not in shell.user_ns:
        raise UsageError("nothing has run yet; see `%lambda_logs --help`")
    refuse_unknown_flag(source, by_flag(LOGS))
    result = evaluate(shell, source or LAST, "RESULT")
    if not isinstance(result, MapResult):
        raise UsageError(f"RESULT: `{source}` is no result of %%lambda_map (it is of type {type(result).__name__})")
    return result


def _position(result: MapResult, index: int) -> int:
    count = len(result)
    if not -count <= index < count:
        raise UsageError(f"INDEX: there is no task {index}; the job has {plural(count, 'task')}, numbered from 0")
    return range(count)[index]


def _compile(pattern: str | None) -> re.Pattern[str]:
    try:
        return re.compile(pattern or "")
    except re.error as error:
        problem = f"--grep: `{pattern}` is no regular expression: {error}"
    raise UsageError(problem)


def _lines(result: MapResult, number: int, wanted: re.Pattern[str]) -> Iterator[str]:
    return (line for line in result.logs(number).splitlines() if wanted.search(line))
