"""What is known about a failed task, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lithops_magic import user_code

if TYPE_CHECKING:
    from lithops_magic.errors import TaskError

_T = TypeVar("_T")

LONG = 1_000
"""Characters of a message that are shown."""


def shown(message: str) -> str:
    """Return as much of a message as is shown."""
    return message if len(message) <= LONG else f"{message[:LONG]}… ({len(message):,} characters)"


@dataclass(frozen=True, slots=True)
class RemoteFrame:
    """One frame of a traceback in the sandbox."""

    file: str
    line: int
    function: str
    source: str = ""
    """The line of code as the sandbox saw it; empty where it has no such file."""
    library: bool = False
    """Whether the file belongs to Python or an installed package of the sandbox."""
    locals: Mapping[str, str] = field(default_factory=dict)
    """Short reprs of its variables, if requested (`locals=True`)."""
    repeated: int = 0
    """How often this frame and the `span` - 1 before it were repeated, as in recursion."""
    span: int = 1

    @property
    def own(self) -> bool:
        """Whether the user wrote it."""
        return not self.library and user_code.is_users(self.file)


@dataclass(frozen=True, slots=True)
class RemoteTraceback:
    """An exception of the user's code as plain data: readable even when the exception cannot be unpickled."""

    type: str
    message: str
    frames: tuple[RemoteFrame, ...] = ()
    cause: RemoteTraceback | None = None
    parts: tuple[RemoteTraceback, ...] = ()
    """The exceptions in an exception group."""
    notes: tuple[str, ...] = ()
    """Notes, if it is a cause or in a group."""

    @property
    def headline(self) -> str:
        """Type and message, as Python prints them."""
        return f"{self.type}: {shown(self.message)}" if self.message else self.type

    def chain(self) -> Iterator[RemoteTraceback]:
        """Yield this exception, its causes, and the exceptions in a group."""
        yield self
        for link in (*([self.cause] if self.cause else []), *self.parts):
            yield from link.chain()


@dataclass(slots=True)
class TaskFacts:
    """What is known about a failed task."""

    message: str = ""
    """What happened, in one line that is equal for equal failures."""
    index: int = -1
    """The task's position in the input."""
    item: str = ""
    """A short repr of its item."""
    log: str = ""
    """What the task printed."""
    where: str = ""
    """The user's line that failed, such as "Cell In[6], line 4: `return 1 / y`"; empty if unknown."""
    traceback: RemoteTraceback | None = None
    """The traceback in the sandbox, if known."""
    summary: str = ""
    """When it is raised for a whole job: what failed, grouped and counted."""
    result: Any = None
    """The `MapResult` it was raised for, else None."""
    debug: str = ""
    """How to run the task here, such as ``r.debug(3)``; empty if that is not known."""
    original: BaseException | None = None
    """The exception of the user's code, as far as it could be rebuilt."""


NAMES = tuple(one.name for one in fields(TaskFacts))
KEY = "_lithops_magic_task"


class Fact(Generic[_T]):
    """Reads a fact, unless the user's exception has an attribute of that name: then it is the user's."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, error: TaskError | None, owner: type) -> _T:
        if error is None:
            return self  # type: ignore[return-value]
        return getattr(facts(error), self._name)  # type: ignore[no-any-return]


class AllFacts:
    """Reads all facts from the error's dictionary, where the user's class cannot hide them."""

    def __get__(self, error: TaskError | None, owner: type) -> TaskFacts:
        return self if error is None else facts(error)  # type: ignore[return-value]


def facts(error: TaskError) -> TaskFacts:
    """Return what is known about the task of `error`."""
    return object.__getattribute__(error, "__dict__").setdefault(KEY, TaskFacts())  # type: ignore[no-any-return]
