"""Errors as people read them: the user's own line first, equal errors grouped and counted, our frames never."""

from __future__ import annotations

import copy
import linecache
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lithops_magic.errors import RemoteFrame, RemoteTraceback, TaskError

NameCode = Callable[[str], str]

_SHOWN_GROUPS = 10
_SHOWN_INDICES = 8


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures of the same kind, with the same message at the same line."""

    type: str
    message: str
    where: str
    errors: tuple[TaskError, ...]
    """In the order of the items."""

    @property
    def indices(self) -> str:
        """Positions of the failed items, the first few."""
        shown = ", ".join(str(error.index) for error in self.errors[:_SHOWN_INDICES])
        return shown + (", …" if len(self.errors) > _SHOWN_INDICES else "")

    def describe(self, total: int) -> str:
        """Say it in one line."""
        tasks = f"{len(self.errors)} of {total} tasks" if total > 1 else "The task"
        return f"{tasks} failed with {self.type}" + (f" at {self.where}" if self.where else f": {self.message}")


def type_name(error: TaskError) -> str:
    """The user's exception type where the user's code raised, else ours."""
    return error.traceback.type if error.traceback else type(error).__name__


def group(errors: Mapping[int, TaskError]) -> list[ErrorGroup]:
    """Group equal errors, the most frequent first."""
    groups: dict[tuple[str, str, str], list[TaskError]] = {}
    for _, error in sorted(errors.items()):
        # A message often carries the item; type and line tell what is the same mistake.
        key = (type_name(error), "" if error.where else error.message, error.where)
        groups.setdefault(key, []).append(error)
    return sorted(
        (ErrorGroup(kind, found[0].message, where, tuple(found)) for (kind, _, where), found in groups.items()),
        key=lambda one: -len(one.errors),
    )


def summarise(errors: Mapping[int, TaskError], total: int) -> TaskError:
    """Return the first error in a form that tells about all of them."""
    groups = group(errors)
    lines = [one.describe(total) for one in groups[:_SHOWN_GROUPS]]
    if len(groups) > _SHOWN_GROUPS:
        lines.append(f"… and {len(groups) - _SHOWN_GROUPS} more kinds of errors")
    first = errors[min(errors)]
    one = copy.copy(first)
    one.summary = "\n".join([*lines, *_first(first, len(errors))])
    return one


def _first(error: TaskError, count: int) -> list[str]:
    item = f" ({error.item})" if error.item else ""
    return [f"{'First: task' if count > 1 else 'Task'} {error.index}{item}: {error.message}"]


def locate(traceback: RemoteTraceback, name_code: NameCode) -> str:
    """Return the innermost line of the user's own, such as "Cell In[6], line 4: `return 1 / y`"."""
    own = [frame for frame in traceback.frames if not frame.library]
    if not own:
        return ""
    source = _source(own[-1])
    return f"{name_code(own[-1].file)}, line {own[-1].line}" + (f": `{source}`" if source else "")


def render(traceback: RemoteTraceback, name_code: NameCode) -> str:
    """Return the traceback as text in Python's order: causes first, the innermost frame last."""
    lines: list[str] = []
    if traceback.cause is not None:
        lines += [render(traceback.cause, name_code), "", "which led to", ""]
    lines.append("Traceback in the sandbox (most recent call last):")
    for frame in traceback.frames:
        lines.append(f"  {_file(frame, name_code)}, line {frame.line}, in {frame.function}")
        if source := _source(frame):
            lines.append(f"    {source}")
        lines += _variables(frame)
    lines.append(f"{traceback.type}: {traceback.message}")
    return "\n".join(lines)


def _variables(frame: RemoteFrame) -> list[str]:
    """What a person's own code had in its variables; names that no code can have are ours."""
    found = {} if frame.library else frame.locals
    return [f"      {name} = {' '.join(value.split())}" for name, value in found.items() if name.isidentifier()]


def _file(frame: RemoteFrame, name_code: NameCode) -> str:
    """What the user calls a file; of an installed one, the part that does not depend on where the sandbox keeps it."""
    return re.split(r"/(?:site|dist)-packages/", frame.file)[-1] if frame.library else name_code(frame.file)


def _source(frame: RemoteFrame) -> str:
    """The line as the notebook has it; for an installed file, whose version may differ here, as the sandbox has it."""
    here = "" if frame.library else linecache.getline(frame.file, frame.line).strip()
    return here or frame.source
