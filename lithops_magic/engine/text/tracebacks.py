"""Errors formatted for people: the user's own line first, equal errors grouped and counted, never our own frames."""

from __future__ import annotations

import ast
import copy
import linecache
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType

from lithops_magic import user_code
from lithops_magic.errors import RemoteFrame, RemoteTraceback, TaskError, facts, shown

NameCode = Callable[[str], str]

_SHOWN_GROUPS = 10
_SHOWN_INDICES = 8
_SHOWN_PARTS = 10
_SOURCE = 120
"""Maximum characters shown of a line of code."""


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures of the same kind, with the same message at the same line."""

    type: str
    message: str
    where: str
    errors: tuple[TaskError, ...]
    """In item order."""

    @property
    def indices(self) -> str:
        """Positions of the first few failed items."""
        few = ", ".join(str(facts(error).index) for error in self.errors[:_SHOWN_INDICES])
        return few + (", …" if len(self.errors) > _SHOWN_INDICES else "")

    def describe(self, total: int) -> str:
        """Describe the group in one line."""
        tasks = f"{len(self.errors)} of {total} tasks" if total > 1 else "The task"
        return f"{tasks} failed with {self.type}" + (f" at {self.where}" if self.where else f": {shown(self.message)}")


def type_name(error: TaskError) -> str:
    """The user's exception type if the user's code raised, else ours."""
    remote = facts(error).traceback
    return remote.type if remote else type(error).__name__


def group(errors: Mapping[int, TaskError]) -> list[ErrorGroup]:
    """Group equal errors, most frequent first."""
    groups: dict[tuple[str, ...], list[TaskError]] = {}
    for _, error in sorted(errors.items()):
        groups.setdefault(_kind(error), []).append(error)
    found = [
        ErrorGroup(type_name(first), _message(first), facts(first).where, (first, *others))
        for first, *others in groups.values()
    ]
    return sorted(found, key=lambda one: -len(one.errors))


def _kind(error: TaskError) -> tuple[str, ...]:
    """Return the grouping key: type and line, because messages often quote the item."""
    details = facts(error)
    return (
        type_name(error),
        # With a known line, messages may differ, since they often quote the item.
        "" if details.where else details.message,
        details.where,
        *_kinds_of_parts(details.traceback),
    )


def _kinds_of_parts(traceback: RemoteTraceback | None) -> Iterator[str]:
    for part in traceback.parts if traceback else ():
        yield from (part.type, locate(part, str), *_kinds_of_parts(part))


def summarize(errors: Mapping[int, TaskError], total: int, debug: str) -> TaskError:
    """Return the first error with a summary of all errors, and how to run its task locally."""
    groups = group(errors)
    lines = [one.describe(total) for one in groups[:_SHOWN_GROUPS]]
    if len(groups) > _SHOWN_GROUPS:
        lines.append(f"… and {len(groups) - _SHOWN_GROUPS} more kinds of errors")
    first = errors[min(errors)]
    # A copy, because the summary belongs to this raising only.
    one = copy.copy(first)
    facts(one).summary = "\n".join([*lines, *_first(first, len(errors), total, debug)])
    return one


def _first(error: TaskError, count: int, total: int, debug: str) -> Iterator[str]:
    """Yield what the summary lacks: the item, the message, and how to debug it."""
    details = facts(error)
    item = f" ({details.item})" if details.item else ""
    what = f"{'First: task' if count > 1 else 'Task'} {details.index}{item}: "
    # A job with one task and no item is a single call, which needs no number.
    said = [("" if total == 1 and details.item == "None" else what) + shown(_message(error))] if details.where else []
    said += [f"{debug} runs it here, for %debug"] if debug else []
    if said:
        yield " · ".join(said)


def _message(error: TaskError) -> str:
    """Return the message without its leading type, which the line shows already."""
    details = facts(error)
    text = details.message
    return (text.removeprefix(details.traceback.type).removeprefix(": ").strip() if details.traceback else text) or text


def locate(traceback: RemoteTraceback, name_code: NameCode) -> str:
    """Return the innermost line of the user's code, such as "Cell In[6], line 4: `return 1 / y`"."""
    frame = own_frame(traceback)
    if frame is None:
        return ""
    source = _source(frame)
    return f"{name_code(frame.file)}, line {frame.line}" + (f": `{source}`" if source else "")


def own_frame(traceback: RemoteTraceback) -> RemoteFrame | None:
    """The innermost frame in a cell or local file, else in other user code, else in code that was typed in."""
    own = [frame for frame in traceback.frames if frame.own]
    typed = [frame for frame in traceback.frames if frame.file == "<string>" and not frame.function.startswith("__")]
    # A file written in the sandbox is the user's, but the notebook cannot open it.
    return next(reversed([frame for frame in own if user_code.is_known(frame.file)] or own or typed), None)


def at_its_line(error: TaskError) -> TaskError:
    """Make the user's own frame the innermost of `error`, so that a debugger opens there."""
    remote = facts(error).traceback
    frame = None if remote is None else own_frame(remote)
    BaseException.with_traceback(error, None if frame is None else _stand_in(frame))
    return error


def _stand_in(frame: RemoteFrame) -> TracebackType | None:
    """Return a frame in this process for a line of code that failed elsewhere, with that frame's variables."""
    at = {"lineno": frame.line, "end_lineno": frame.line, "col_offset": -1, "end_col_offset": -1}
    one, zero = (ast.Constant(number, None, **at) for number in (1, 0))
    # Any code that raises at that line will do; its own error is replaced by the task's.
    failure = ast.BinOp(one, ast.Div(), zero, **at)
    code = compile(ast.Module([ast.Expr(failure, **at)], []), frame.file, "exec").replace(co_name=frame.function)
    try:
        exec(code, {**frame.locals, user_code.STAND_IN: True})
    except ZeroDivisionError as error:
        return error.__traceback__ and error.__traceback__.tb_next
    return None


def render(traceback: RemoteTraceback, name_code: NameCode) -> str:
    """Return the traceback as text in Python's order: causes first, innermost frame last."""
    parts = _parts(traceback, name_code)
    return "\n".join([*_way(traceback, name_code), traceback.headline, *parts])


def _way(traceback: RemoteTraceback, name_code: NameCode) -> Iterator[str]:
    """Yield what precedes the exception: its cause, and the calls that led to it."""
    if traceback.cause is not None:
        yield from (render(traceback.cause, name_code), *traceback.cause.notes, "", "which led to", "")
    if traceback.frames:
        yield "Traceback in the sandbox (most recent call last):"
    for frame in traceback.frames:
        yield f"  {_file(frame, name_code)}, line {frame.line}, in {frame.function}"
        if source := _source(frame):
            yield f"    {source}"
        yield from _variables(frame)
        if frame.repeated:
            what = "the line above" if frame.span == 1 else f"the {frame.span} lines above"
            yield f"  … {what} {frame.repeated:,} more times"


def _parts(traceback: RemoteTraceback, name_code: NameCode) -> Iterator[str]:
    """Yield each exception of a group, with its own line and calls."""
    for number, part in enumerate(traceback.parts[:_SHOWN_PARTS], 1):
        where = locate(part, name_code)
        yield f"  {number}. {part.headline}" + (f" at {where}" if where else "")
        below = [*part.notes, *_way(part, name_code), *_parts(part, name_code)]
        yield from (f"     {line}" for text in below for line in text.splitlines())
    if len(traceback.parts) > _SHOWN_PARTS:
        yield f"  … and {len(traceback.parts) - _SHOWN_PARTS} more"


def _variables(frame: RemoteFrame) -> list[str]:
    """Return the variables of the user's code; names that are not identifiers are ours."""
    found = frame.locals if frame.own else {}
    return [f"      {name} = {' '.join(value.split())}" for name, value in found.items() if name.isidentifier()]


def _file(frame: RemoteFrame, name_code: NameCode) -> str:
    """The user's name for a file; for an installed one, the part that does not depend on the sandbox."""
    return name_code(frame.file) if frame.own else user_code.short(frame.file)


def _source(frame: RemoteFrame) -> str:
    """The line as in the notebook; for an installed file, whose version may differ here, as in the sandbox."""
    here = linecache.getline(frame.file, frame.line).strip() if frame.own else ""
    line = here or frame.source
    return line if len(line) <= _SOURCE else f"{line[:_SOURCE]}…"
