"""The exceptions a user can meet.

LithopsMagicError
├── ConfigError            a setting is missing or wrong                          (also a ValueError)
├── LocalAWSError          the local AWS could not be started or reached
├── AwsError               AWS said no outside of Invoke: code, message and what to do
│   └── DeployError        the function could not be deployed or did not become active
├── PackageError           a package or module that a function needs cannot be shipped to Lambda
├── SerializationError     a function or an item cannot be pickled or is too large to be sent
├── InvokeError            Invoke was refused; nothing was executed               (ends the job)
│   ├── ThrottledOut       AWS accepts no more invocations, however long one waits
│   ├── NotAuthorized      the user or the role lacks a permission
│   ├── FunctionGone       the function was deleted and cannot be deployed again
│   ├── Unreachable        no connection to AWS
│   ├── ClockSkew          this machine's clock is wrong
│   ├── CredentialsExpired the credentials are too old and could not be renewed
│   └── VersionMismatch    the function's Python or cloudpickle is not the notebook's
├── BudgetSpent            the job reached its max_cost                           (ends the job)
├── JobCancelled           the job was stopped before this task finished
│   └── JobInterrupted     the process that ran the job ended before the job did  (attach can resume it)
├── UnknownJob             this machine knows no job of that id                   (also a LookupError)
│   └── UnreadableJob      what it keeps of one is damaged, of another version, or not safe to read
├── TaskPending            the task has not finished yet
├── MisuseError            a result was asked for what it does not have or cannot do (also a TypeError and a ValueError)
│   ├── NoSuchTask         it has fewer tasks                                     (also an IndexError)
│   └── NoSuchAttribute    it is no array and no table                            (also an AttributeError)
├── MissingPackage         what was asked for needs a package that is not installed here (also an ImportError)
└── TaskError              one task failed
    ├── RemoteError        the user's code raised; the remote traceback is attached
    │   ├── ImportFailed   it imports a module that the sandbox does not have
    │   └── DiskFull       it wrote more than there is room for in /tmp
    ├── ItemError          the task's item could not be sent                      (also a SerializationError)
    ├── TaskTimeout        the task ran longer than the function's timeout
    ├── TaskOutOfMemory    the sandbox was killed for its memory
    ├── TaskCrashed        the sandbox exited or segfaulted
    │   └── InitFailed     the sandbox could not start
    ├── TaskLost           the connection broke; the task may or may not have run
    ├── TamperedError      an object in S3 is not what was written there; it was not unpickled
    └── ResultError        the task's result cannot be pickled, or cannot be unpickled here
        └── ResultTooLarge it is larger than a reply may be, and cannot go through S3
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

from lithops_magic import user_code

_T = TypeVar("_T")

LONG = 1_000
"""Characters of a message that are shown."""


class LithopsMagicError(Exception):
    """Base of every exception raised by this package."""

    def _render_traceback_(self) -> list[str]:
        """IPython shows this instead of our own frames; in one piece, because not every `%xmode` breaks lines."""
        at = object.__getattribute__(self, "__traceback__")
        calls = user_code.calls(at)
        return ["\n".join([*calls, self.report("" if calls else user_code.line_of_cell(at))])]

    def report(self, place: str = "") -> str:
        """All there is to say, without the way to it but the line of it that stands for all."""
        return "\n".join([self._headline(place), *_notes(self)])

    def _headline(self, place: str) -> str:
        return f"{type(self).__name__}: {self}" + (f" ({place})" if place else "")


def _notes(error: BaseException) -> list[str]:
    # Not by name: where a user's class is mixed in, its attributes may do anything.
    return list(object.__getattribute__(error, "__dict__").get("__notes__", ()))


def shown(message: str) -> str:
    """Return as much of a message as is shown."""
    return message if len(message) <= LONG else f"{message[:LONG]}… ({len(message):,} characters)"


class ConfigError(LithopsMagicError, ValueError):
    """A setting is missing or wrong."""


class LocalAWSError(LithopsMagicError):
    """The local AWS could not be started or reached."""


class AwsError(LithopsMagicError):
    """AWS said no outside of Invoke.

    Parameters
    ----------
    message
        What happened and what to do about it.
    code
        AWS's error code, such as ``AccessDeniedException``; empty when there is none.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class DeployError(AwsError):
    """The function could not be deployed or did not become active."""


class PackageError(LithopsMagicError):
    """A package or module that a function needs cannot be shipped to Lambda."""


class SerializationError(LithopsMagicError):
    """A function or an item cannot be pickled or is too large to be sent."""


class InvokeError(LithopsMagicError):
    """Invoke was refused; nothing was executed. Ends the job."""


class ThrottledOut(InvokeError):
    """AWS accepts no more invocations, however long one waits."""


class NotAuthorized(InvokeError):
    """The user or the function's role lacks a permission."""


class FunctionGone(InvokeError):
    """The function was deleted and cannot be deployed again."""


class Unreachable(InvokeError):
    """No connection to AWS could be made."""


class ClockSkew(InvokeError):
    """This machine's clock is wrong, and AWS accepts no signature dated by it."""


class CredentialsExpired(InvokeError):
    """The credentials are too old and could not be renewed."""


class VersionMismatch(InvokeError):
    """The function's Python or cloudpickle is not the notebook's."""


class BudgetSpent(LithopsMagicError):
    """The job reached its max_cost. Ends the job."""


class JobCancelled(LithopsMagicError):
    """The job was stopped before this task finished."""


class JobInterrupted(JobCancelled):
    """The process that ran the job ended before the job did."""


class UnknownJob(LithopsMagicError, LookupError):
    """This machine knows no job of that id."""


class UnreadableJob(UnknownJob):
    """What this machine keeps of a job is damaged, of another version, or may be somebody else's work."""


class TaskPending(LithopsMagicError):
    """The task has not finished yet."""


class MisuseError(LithopsMagicError, TypeError, ValueError):
    """A result was asked for what it does not have or cannot do."""


class NoSuchTask(MisuseError, IndexError):
    """A result has fewer tasks."""


class NoSuchAttribute(MisuseError, AttributeError):
    """A result is no array and no table."""


class MissingPackage(LithopsMagicError, ImportError):
    """What was asked for needs a package that is not installed here."""


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
    """Short reprs of its variables, if they were asked for."""
    repeated: int = 0
    """How often this frame and the `span` - 1 before it came again, as they do when functions call themselves."""
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
    """Of a group: the exceptions in it."""
    notes: tuple[str, ...] = ()
    """Of exceptions that are causes or parts."""

    @property
    def headline(self) -> str:
        """Type and message, as Python says them."""
        return f"{self.type}: {shown(self.message)}" if self.message else self.type


@dataclass(slots=True)
class TaskFacts:
    """What is known of a task that failed."""

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
    """The whole way there, if it is known."""
    summary: str = ""
    """When it is raised for a whole job: what failed, grouped and counted."""
    result: Any = None
    """The `MapResult` it was raised for, else None."""
    debug: str = ""
    """How to run the task here, such as ``r.debug(3)``; empty if that is not known."""
    original: BaseException | None = None
    """The exception of the user's code, as far as it could be rebuilt."""


_FACTS = tuple(one.name for one in fields(TaskFacts))
_KEY = "_lithops_magic_task"


class _Fact(Generic[_T]):
    """Reads a fact, unless the user's exception has an attribute of that name: then it is the user's."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, error: TaskError | None, owner: type) -> _T:
        if error is None:
            return self  # type: ignore[return-value]
        return getattr(facts(error), self._name)  # type: ignore[no-any-return]


class _Facts:
    def __get__(self, error: TaskError | None, owner: type) -> TaskFacts:
        return self if error is None else facts(error)  # type: ignore[return-value]


def facts(error: TaskError) -> TaskFacts:
    """What is known of the task of `error`."""
    return object.__getattribute__(error, "__dict__").setdefault(_KEY, TaskFacts())  # type: ignore[no-any-return]


class TaskError(LithopsMagicError):
    """One task failed.

    Attributes
    ----------
    task : TaskFacts
        What is known of the task. Each fact is an attribute of the error as well, such as ``error.index``, unless the
        user's exception has one of that name.
    """

    task = _Facts()
    message = _Fact[str]()
    index = _Fact[int]()
    item = _Fact[str]()
    log = _Fact[str]()
    where = _Fact[str]()
    traceback = _Fact["RemoteTraceback | None"]()
    summary = _Fact[str]()
    result = _Fact[Any]()
    original = _Fact["BaseException | None"]()

    # Nor may the user's exception keep us from anything, whatever it defines.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__
    __getattribute__ = object.__getattribute__

    def __init__(self, message: str, **known: Any) -> None:
        # Not super(), which may be the user's exception and want arguments of its own.
        BaseException.__init__(self, message)
        object.__getattribute__(self, "__dict__")[_KEY] = TaskFacts(message, **known)

    def __bool__(self) -> bool:
        # `concurrent.futures` asks for an exception's truth, and takes an empty one for none.
        return True

    def __str__(self) -> str:
        known = facts(self)
        if known.summary:
            return known.summary
        item = f" ({known.item})" if known.item else ""
        place = f" at {known.where}" if known.where else ""
        return f"Task {known.index}{item}: {shown(known.message)}{place}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def __copy__(self) -> TaskError:
        return _revived(self._kind, facts(self), _notes(self), facts(self).original)

    def __deepcopy__(self, memo: object) -> TaskError:
        return self.__copy__()

    def __reduce_ex__(self, protocol: object) -> tuple[Callable[..., TaskError], tuple[Any, ...]]:
        from lithops_magic.worker import exceptions

        known = facts(self)
        packed = None if known.original is None else exceptions.pack(known.original)
        return _unpacked, (self._kind, replace(known, result=None, original=None, debug=""), _notes(self), packed)

    @property
    def _kind(self) -> type[TaskError]:
        kind: type[TaskError] = next(base for base in type(self).__mro__ if globals().get(base.__name__) is base)
        return kind

    def _headline(self, place: str) -> str:  # noqa: ARG002 - a failed task has a place of its own
        known = facts(self)
        # A summary says it already.
        return str(self) if known.summary or not known.debug else f"{self}\n{known.debug} runs it here, for %debug"


class RemoteError(TaskError):
    """The user's code raised; also an instance of the original exception's type wherever that can be rebuilt.

    It has that exception's arguments, attributes, notes and cause; one that has no cause, or cannot be rebuilt as its
    type, is the cause itself. ``error.task.original`` is that exception in any case.
    """

    @classmethod
    def wrap(cls, original: BaseException | None, message: str, **known: Any) -> TaskError:
        """Make the error, where Python allows it, catchable as the type of `original`."""
        notes = [] if original is None else _notes_of(original)
        return _revived(cls, TaskFacts(message, original=original, **known), notes, original)


class ImportFailed(RemoteError):
    """The user's code imports a module that the sandbox does not have."""


class DiskFull(RemoteError):
    """The user's code wrote more than there is room for in /tmp."""


class ItemError(TaskError, SerializationError):
    """The task's item could not be sent."""


class TaskTimeout(TaskError):
    """The task ran longer than the function's timeout."""


class TaskOutOfMemory(TaskError):
    """The sandbox was killed for its memory."""


class TaskCrashed(TaskError):
    """The sandbox exited or segfaulted."""


class InitFailed(TaskCrashed):
    """The sandbox could not start."""


class TaskLost(TaskError):
    """The connection broke; the task may or may not have run."""


class TamperedError(TaskError):
    """An object in S3 is not what was written there; it was not unpickled."""


class ResultError(TaskError):
    """The task's result cannot be pickled, or cannot be unpickled here."""


class ResultTooLarge(ResultError):
    """The task's result is larger than a reply may be, and cannot go through S3."""


def add_note(error: TaskError, note: str) -> None:
    """Add a note to `error`, whatever the user's class makes of its notes."""
    object.__getattribute__(error, "__dict__").setdefault("__notes__", []).append(note)


def _arguments(message: str, original: BaseException | None) -> tuple[Any, ...]:
    from lithops_magic.worker import exceptions

    return (message,) if original is None else exceptions.arguments(original)


def _notes_of(original: BaseException) -> list[str]:
    from lithops_magic.worker import exceptions

    return exceptions.notes(original)


def _unpacked(kind: type[TaskError], known: TaskFacts, notes: list[str], packed: bytes | None) -> TaskError:
    from lithops_magic.worker import exceptions

    original = None if packed is None else exceptions.unpack(packed)
    return _revived(kind, known, notes, original)


def _revived(kind: type[TaskError], known: TaskFacts, notes: list[str], original: BaseException | None) -> TaskError:
    """An instance of `kind` that is also one of the type of `original` where the two can be mixed."""
    mixed = _mixed(kind, original) if isinstance(original, Exception) and issubclass(kind, RemoteError) else None
    error = mixed or kind.__new__(kind)
    if mixed is None:
        BaseException.__init__(error, *_arguments(known.message, original))
        error.__cause__ = original
    inside = object.__getattribute__(error, "__dict__")
    inside[_KEY] = replace(known, original=original)
    inside["__notes__"] = list(notes)
    return error


def _mixed(kind: type[TaskError], original: Exception) -> TaskError | None:
    # A StopIteration raised through a generator would become a RuntimeError that hides everything; syntax errors and
    # groups are shown by IPython in its own way, with our frames and without what we have to say; the end of a debugger
    # it does not show at all.
    if isinstance(original, StopIteration | StopAsyncIteration | SyntaxError | BaseExceptionGroup):
        return None
    if any(base.__module__ == "bdb" for base in type(original).__mro__):
        return None
    from lithops_magic.worker import exceptions

    known = type(original)
    try:
        # Of the attributes that both have, the user's are those that the user's code asks for.
        theirs = {name: value for name in (*_FACTS, "task") for value in _of_class(known, name)}
        names = {"__module__": __name__, "__doc__": known.__doc__, **theirs}
        error: Any = exceptions.copy_as(type(known.__name__, (kind, known), names), original)
    except Exception:
        return None
    # Not through the class, which may have attributes of these names.
    links: Any = BaseException
    cause, context = links.__cause__.__get__(original), links.__context__.__get__(original)
    # What it was raised from is what the user's code asks for; without that, the exception as it was raised.
    links.__cause__.__set__(error, original if cause is None else cause)
    if not _in_context(original, BaseExceptionGroup):
        links.__context__.__set__(error, context)
    return error  # type: ignore[no-any-return]


def _of_class(known: type, name: str) -> list[Any]:
    return [vars(base)[name] for base in known.__mro__ if name in vars(base)][:1]


def _in_context(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether IPython would find such an exception there, and then show everything in another way."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        if isinstance(error, kind):
            return True
        seen.add(id(error))
        error = getattr(BaseException, "__context__").__get__(error)  # noqa: B009 - the descriptor, for mypy
    return False
