"""The exceptions a user can meet.

LithopsMagicError
├── ConfigError            a setting is missing or wrong                          (also a ValueError)
├── LocalAWSError          the local AWS could not be started or reached
├── AwsError               a request to AWS other than Invoke failed: code, message and what to do
│   └── DeployError        the function could not be deployed or did not become active
├── PackageError           a package or module that a function needs cannot be shipped to Lambda
│   └── NoBuild            no build of it for Lambda exists, or none that fits the rest
├── SerializationError     a function or an item cannot be pickled or is too large to be sent
├── InvokeError            Invoke was refused; nothing was executed               (ends the job)
│   ├── ThrottledOut       AWS accepts no invocations, and waiting will not change that
│   ├── NotAuthorized      the user or the role lacks a permission
│   ├── FunctionGone       the function was deleted and cannot be deployed again
│   ├── Unreachable        no connection to AWS
│   ├── ClockSkew          this machine's clock is wrong
│   ├── CredentialsExpired the credentials are too old and could not be renewed
│   └── VersionMismatch    the function's Python or cloudpickle is not the notebook's
├── BudgetSpent            the job reached its max_cost                           (ends the job)
├── JobCancelled           the job was stopped before this task finished
│   └── JobInterrupted     the process that ran the job ended before the job did  (attach can resume it)
├── UnknownJob             no job with that ID is on this machine                 (also a LookupError)
│   └── UnreadableJob      a job's records are damaged, of another version, or not safe to read
├── TaskPending            the task has not finished yet
├── MisuseError            an argument is wrong, or a result cannot do that       (also a TypeError and a ValueError)
│   ├── NoSuchTask         the result has no task with that index                 (also an IndexError)
│   └── NoSuchAttribute    the result has no such attribute                       (also an AttributeError)
├── MissingPackage         a feature needs a package that is not installed here   (also an ImportError)
└── TaskError              one task failed
    ├── RemoteError        the user's code raised; the remote traceback is attached
    │   ├── ImportFailed   it imports a module that the sandbox does not have
    │   └── DiskFull       it wrote more to /tmp than fits
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

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lithops_magic.errors.base import LithopsMagicError as LithopsMagicError
from lithops_magic.errors.base import notes_of
from lithops_magic.errors.task_facts import KEY, AllFacts, Fact, TaskFacts
from lithops_magic.errors.task_facts import RemoteFrame as RemoteFrame
from lithops_magic.errors.task_facts import RemoteTraceback as RemoteTraceback
from lithops_magic.errors.task_facts import facts as facts
from lithops_magic.errors.task_facts import shown as shown


class ConfigError(LithopsMagicError, ValueError):
    """A setting is missing or wrong."""


class LocalAWSError(LithopsMagicError):
    """The local AWS could not be started or reached."""


class AwsError(LithopsMagicError):
    """A request to AWS other than Invoke failed.

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


class NoBuild(PackageError):
    """No build of a package for Lambda exists, or none that fits the rest."""

    def __init__(self, message: str, package: str = "") -> None:
        super().__init__(message)
        self.package = package
        """The package without a build, if that alone is the reason."""


class SerializationError(LithopsMagicError):
    """A function or an item cannot be pickled or is too large to be sent."""


class InvokeError(LithopsMagicError):
    """Invoke was refused; nothing was executed. Ends the job."""


class ThrottledOut(InvokeError):
    """AWS accepts no invocations, and waiting will not change that."""


class NotAuthorized(InvokeError):
    """The user or the function's role lacks a permission."""


class FunctionGone(InvokeError):
    """The function was deleted and cannot be deployed again."""


class Unreachable(InvokeError):
    """No connection to AWS could be made."""


class ClockSkew(InvokeError):
    """This machine's clock is wrong, so AWS rejects its signatures."""


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
    """No job with that ID is on this machine."""


class UnreadableJob(UnknownJob):
    """A job's records are damaged, of another version, or could have been written by another user."""


class TaskPending(LithopsMagicError):
    """The task has not finished yet."""


class MisuseError(LithopsMagicError, TypeError, ValueError):
    """An argument is wrong, or a result cannot do what was asked of it."""


class NoSuchTask(MisuseError, IndexError):
    """A result has no task with that index."""


class NoSuchAttribute(MisuseError, AttributeError):
    """A result has no such attribute."""


class MissingPackage(LithopsMagicError, ImportError):
    """A feature needs a package that is not installed here."""


class TaskError(LithopsMagicError):
    """One task failed.

    Attributes
    ----------
    task : TaskFacts
        What is known about the task. Each fact is also an attribute of the error, such as ``error.index``, unless the
        user's exception has one of that name.
    """

    _mixes = False
    """Whether it is also an instance of the user's exception type."""

    task = AllFacts()
    message = Fact[str]()
    index = Fact[int]()
    item = Fact[str]()
    log = Fact[str]()
    where = Fact[str]()
    traceback = Fact["RemoteTraceback | None"]()
    summary = Fact[str]()
    result = Fact[Any]()
    original = Fact["BaseException | None"]()

    # Whatever the user's exception class defines must not break access to these.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__
    __getattribute__ = object.__getattribute__

    def __init__(self, message: str, **details: Any) -> None:
        # Not super(): the next class may be the user's exception, which takes other arguments.
        BaseException.__init__(self, message)
        object.__getattribute__(self, "__dict__")[KEY] = TaskFacts(message, **details)

    def __bool__(self) -> bool:
        # `concurrent.futures` tests an exception's truth value, and would take a false one for no exception.
        return True

    def __str__(self) -> str:
        details = facts(self)
        if details.summary:
            return details.summary
        item = f" ({details.item})" if details.item else ""
        place = f" at {details.where}" if details.where else ""
        return f"Task {details.index}{item}: {shown(details.message)}{place}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def __copy__(self) -> TaskError:
        from lithops_magic.errors.mixed import revived

        return revived(self._kind, facts(self), notes_of(self), facts(self).original)

    def __deepcopy__(self, memo: object) -> TaskError:
        return self.__copy__()

    def __reduce_ex__(self, protocol: object) -> tuple[Callable[..., TaskError], tuple[Any, ...]]:
        from lithops_magic.worker import exceptions

        details = facts(self)
        packed = None if details.original is None else exceptions.pack(details.original)
        return _unpacked, (self._kind, replace(details, result=None, original=None, debug=""), notes_of(self), packed)

    @property
    def _kind(self) -> type[TaskError]:
        # A class mixed with the user's was made for this one error: no other process could find it by name.
        kind: type[TaskError] = next(base for base in type(self).__mro__ if globals().get(base.__name__) is base)
        return kind

    def _headline(self, place: str) -> str:  # noqa: ARG002 - a failed task has a place of its own
        details = facts(self)
        # A summary includes it already.
        return (
            str(self) if details.summary or not details.debug else f"{self}\n{details.debug} runs it here, for %debug"
        )


class RemoteError(TaskError):
    """The user's code raised; also an instance of the original exception's type wherever that can be rebuilt.

    It has that exception's arguments, attributes, notes and cause; an exception that has no cause, or cannot be rebuilt
    as its type, is itself the cause. ``error.task.original`` is that exception in any case.
    """

    _mixes = True

    @classmethod
    def wrap(cls, original: BaseException | None, message: str, **details: Any) -> TaskError:
        """Make the error, where Python allows it, catchable as the type of `original`."""
        from lithops_magic.errors.mixed import revived
        from lithops_magic.worker import exceptions

        notes = [] if original is None else exceptions.notes(original)
        return revived(cls, TaskFacts(message, original=original, **details), notes, original)


class ImportFailed(RemoteError):
    """The user's code imports a module that the sandbox does not have."""


class DiskFull(RemoteError):
    """The user's code wrote more to /tmp than fits."""


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


def _unpacked(kind: type[TaskError], details: TaskFacts, notes: list[str], packed: bytes | None) -> TaskError:
    from lithops_magic.errors.mixed import revived
    from lithops_magic.worker import exceptions

    original = None if packed is None else exceptions.unpack(packed)
    return revived(kind, details, notes, original)
