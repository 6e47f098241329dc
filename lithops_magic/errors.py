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
from dataclasses import dataclass, field
from typing import Any


class LithopsMagicError(Exception):
    """Base of every exception raised by this package."""

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines instead of our own frames."""
        return [f"{type(self).__name__}: {self}", *getattr(self, "__notes__", ())]


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
    """Whether the file belongs to Python or an installed package."""
    locals: Mapping[str, str] = field(default_factory=dict)
    """Short reprs of its variables, if they were asked for."""


@dataclass(frozen=True, slots=True)
class RemoteTraceback:
    """An exception of the user's code as plain data: readable even when the exception cannot be unpickled."""

    type: str
    message: str
    frames: tuple[RemoteFrame, ...] = ()
    cause: RemoteTraceback | None = None


class TaskError(LithopsMagicError):
    """One task failed.

    Attributes
    ----------
    message : str
        What happened, in one line that is equal for equal failures.
    index : int
        The task's position in the input.
    item : str
        A short repr of its item.
    log : str
        What the task printed.
    where : str
        The user's line that failed, such as "Cell In[6], line 4: `return 1 / y`"; empty if unknown.
    traceback : RemoteTraceback or None
        The whole way there, if it is known.
    summary : str
        When it is raised for a whole job: what failed, grouped and counted.
    result
        The `MapResult` it was raised for, else None.
    """

    # Class attributes, because a user's exception that this is mixed with may have read-only ones of these names.
    message: str = ""
    index: int = -1
    item: str = ""
    log: str = ""
    where: str = ""
    traceback: RemoteTraceback | None = None
    summary: str = ""
    result: Any = None

    # Nor may the user's exception keep us from filling them, as a frozen dataclass would.
    __setattr__ = object.__setattr__

    def __init__(
        self,
        message: str,
        *,
        index: int,
        item: str = "",
        log: str = "",
        where: str = "",
        traceback: RemoteTraceback | None = None,
    ) -> None:
        # Not super(), which may be the user's exception and want arguments of its own.
        BaseException.__init__(self, message)
        self.message = message
        self.index = index
        self.item = item
        self.log = log
        self.where = where
        self.traceback = traceback

    def __str__(self) -> str:
        if self.summary:
            return self.summary
        item = f" ({self.item})" if self.item else ""
        return f"Task {self.index}{item}: {self.message}" + (f" at {self.where}" if self.where else "")

    def __reduce__(self) -> tuple[Callable[..., TaskError], tuple[Any, ...], dict[str, Any]]:
        return _blank, (self._kind, self.__cause__), {k: v for k, v in vars(self).items() if k != "result"}

    @property
    def _kind(self) -> type[TaskError]:
        kind: type[TaskError] = next(base for base in type(self).__mro__ if globals().get(base.__name__) is base)
        return kind

    def _render_traceback_(self) -> list[str]:
        return [str(self), *getattr(self, "__notes__", ())]


class RemoteError(TaskError):
    """The user's code raised; also an instance of the original exception's type wherever that can be rebuilt."""

    @classmethod
    def wrap(cls, original: BaseException | None, message: str, **fields: Any) -> TaskError:
        """Make the error, chained to `original` and, where Python allows it, catchable as its type."""
        error = _blank(cls, original)
        TaskError.__init__(error, message, **fields)
        if original is not None:
            error.args = original.args
        return error


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


def _blank(kind: type[TaskError], original: BaseException | None) -> TaskError:
    """An instance of `kind` without fields that is also one of the type of `original` where the two can be mixed."""
    error = _mixed(kind, original) if isinstance(original, Exception) and issubclass(kind, RemoteError) else None
    error = error or kind.__new__(kind)
    error.__cause__ = original
    return error


def _mixed(kind: type[TaskError], original: Exception) -> TaskError | None:
    # A StopIteration raised through a generator would become a RuntimeError that hides everything; syntax errors and
    # groups are shown by IPython in its own way, with our frames and without what we have to say.
    if isinstance(original, StopIteration | StopAsyncIteration | SyntaxError | BaseExceptionGroup):
        return None
    known = type(original)
    builtin: Any = next(base for base in known.__mro__ if base.__module__ == "builtins")
    try:
        mixed = type(known.__name__, (kind, known), {"__module__": __name__, "__doc__": known.__doc__})
        error: TaskError = mixed.__new__(mixed, *original.args)
        # Not the user's own __init__: its parameters are unknown. The built-in one fills errno, encoding and the like.
        builtin.__init__(error, *builtin.__reduce__(original)[1])
        vars(error).update(vars(original))
    except Exception:
        return None
    return error
