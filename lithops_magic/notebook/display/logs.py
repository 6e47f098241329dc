"""What tasks printed, for `%lambda_logs`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lithops_magic.notebook.display.run_job import LAST
from lithops_magic.notebook.parse.evaluate import evaluate
from lithops_magic.notebook.parse.line_options import refuse_unknown_flag
from lithops_magic.notebook.parse.option import by_flag
from lithops_magic.notebook.parse.options import LOGS
from lithops_magic.notebook.parse.similar import a
from lithops_magic.notebook.parse.usage_error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.engine import MapResult
    from lithops_magic.engine.result.logs import LogLines

# RESULT may be any expression; a number after a blank at its end is the task's.
_LINE = re.compile(r"(?P<result>.*?)(?:(?:^|\s+)(?P<index>-?\d+))?", re.DOTALL)


def logs(shell: InteractiveShell, source: str, pattern: str | None, *, follow: bool = False) -> str | LogLines | None:
    """Return the output selected by `source`, which is `[RESULT] [INDEX]`, or only its lines that match `pattern`.

    With `follow`, lines are printed instead.

    Raises
    ------
    UsageError
        There is no such result.
    MisuseError
        The result has no such task, or the pattern is not a regular expression.
    """
    from lithops_magic.engine.result.logs import Text

    __tracebackhide__ = True
    parts = _LINE.fullmatch(source)
    assert parts is not None
    result = _result(shell, parts["result"])
    index = None if parts["index"] is None else int(parts["index"])
    if follow:
        return result.logs(index, grep=pattern, follow=True)
    if pattern is not None:
        return result.logs(index, grep=pattern)
    if index is None:
        return result.logs()
    return result.logs(index) or Text(f"Task {range(len(result))[index]} printed nothing.")


def _result(shell: InteractiveShell, source: str) -> MapResult:
    from lithops_magic.engine import MapResult

    __tracebackhide__ = True
    if not source and LAST not in shell.user_ns:
        raise UsageError("nothing has run yet; see `%lambda_logs --help`")
    refuse_unknown_flag(source, by_flag(LOGS))
    result = evaluate(shell, source or LAST, "a result")
    if not isinstance(result, MapResult):
        raise UsageError(f"`{source}` is not a result of %%lambda_map; it is {a(type(result))}")
    return result
