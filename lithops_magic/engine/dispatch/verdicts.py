"""Judges a reply: which tasks have a value, which failed for good, and which are to be retried."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lithops_magic.aws.invoke.outcomes import Reply
from lithops_magic.engine.backend.endpoint import Limits
from lithops_magic.engine.dispatch import failures
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.text import tracebacks
from lithops_magic.engine.text.short_repr import short_repr
from lithops_magic.engine.wire.pickling_advice import advice_to_return
from lithops_magic.engine.wire.reply import Outcome, WorkerReply, unpack, unpickle
from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import (
    AwsError,
    RemoteError,
    ResultError,
    ResultTooLarge,
    TamperedError,
    TaskError,
    TaskLost,
    TaskTimeout,
    add_note,
    facts,
)


class Value(NamedTuple):  # half the time of a frozen dataclass, and almost every verdict is one
    """The task returned; the job records it as it is."""

    task: Task
    value: object
    log: str
    container: bytes = b""
    """The value as packed."""


@dataclass(frozen=True, slots=True)
class Final:
    """The task failed and would fail again."""

    error: TaskError
    not_found: tuple[tuple[str, str], ...] = ()
    """Modules or distributions not found in its sandbox, and what asked for them."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The attempt was lost; another may succeed."""

    error: TaskError


@dataclass(frozen=True, slots=True)
class NotRun:
    """The task was not started."""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """Other tasks disturbed the task's invocation: it deserves one of its own."""

    error: TaskError
    """The message if it must not run again."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """The task returned a value that is in S3."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class NotInStore:
    """The sandbox did not find the function or the item in S3: upload them again."""

    error: TaskError
    """The message if that does not help."""


Verdict = Value | Final | Lost | NotRun | Disturbed | Fetch | NotInStore


def make(kind: type[TaskError], task: Task, message: str, log: str = "") -> TaskError:
    """Make an error about `task`."""
    return kind(message, index=task.index, item=short_repr(task.item), log=log)


@dataclass(frozen=True, slots=True)
class _Invocation:
    """What is known about an invocation besides its outcomes."""

    limits: Limits
    name_code: Callable[[str], str]
    used: int | None
    """Peak memory in MB."""


def judge(
    reply: WorkerReply,
    tasks: Sequence[Task],
    limits: Limits,
    name_code: Callable[[str], str],
    used: int | None = None,
) -> list[Verdict]:
    """Judge the tasks of an invocation that the worker answered; `used` is its peak memory in MB."""
    invocation = _Invocation(limits, name_code, used)
    verdicts: list[Verdict] = []
    for position, task in enumerate(tasks):
        outcome = reply.outcomes.get(task.index)
        verdicts.append(NotRun() if outcome is None else _verdict(outcome, task, position, invocation))
    return verdicts


def _verdict(outcome: Outcome, task: Task, position: int, invocation: _Invocation) -> Verdict:
    match outcome.status:
        case "ok" if outcome.reference is not None:
            return Fetch(outcome)
        case "ok":
            return _value(outcome.value, outcome, task)
        case "error":
            return Final(_remote_error(outcome, task, invocation), outcome.not_found)
        case "timeout":
            error = make(TaskTimeout, task, failures.timeout(invocation.limits.timeout), outcome.log)
            _attach(error, outcome, invocation.name_code)
            # The first task of a chunk had the whole timeout to itself; a later one only what was left of it.
            return Disturbed(error) if position else Lost(error)
        case "died":
            kind, text = failures.of_process(outcome.code, invocation.limits.memory, invocation.used)
            return Lost(make(kind, task, text, outcome.log))
        case "unpicklable":
            advice = advice_to_return(outcome.of, outcome.reason)
            text = f"its result, a {outcome.of}, cannot be pickled: {outcome.reason}; {advice}"
            return Final(make(ResultError, task, text, outcome.log))
        case "dropped" | "too_large":
            return _oversized(outcome, task)
    return _not_in_store(outcome, task)


def _oversized(outcome: Outcome, task: Task) -> Verdict:
    because = f" ({outcome.reason})" if outcome.reason else ""
    if outcome.status == "dropped":
        text = "its result did not fit in the reply with the others of its chunk: use a smaller chunksize"
        return Disturbed(make(ResultTooLarge, task, text + because, outcome.log))
    text = (
        f"its result takes {outcome.size:,} bytes, but AWS allows about 6,291,000 in a reply: "
        "return less, or write it to S3 and return its address"
    )
    return Final(make(ResultTooLarge, task, text + because, outcome.log))


def _not_in_store(outcome: Outcome, task: Task) -> Verdict:
    """Judge a task whose item or function the sandbox could not get from S3."""
    if outcome.status == "tampered":
        return Final(make(TamperedError, task, outcome.reason))
    error = make(TaskLost, task, outcome.reason)
    return NotInStore(error) if outcome.status == "absent" else Lost(error)


def fetch(place: Place, outcome: Outcome, task: Task) -> Verdict:
    """Download a value from S3; blocks, so never call it where anything waits."""
    from lithops_magic.aws.storage.objects import TAMPERED

    assert outcome.reference is not None
    try:
        data = place.download(outcome.reference)
    except AwsError as error:
        if error.code == TAMPERED:
            return Final(make(TamperedError, task, f"its result: {error}", outcome.log))
        return Lost(make(ResultError, task, f"its result could not be fetched from S3: {error}", outcome.log))
    return _value(data, outcome, task)


def _value(data: bytes, outcome: Outcome, task: Task) -> Verdict:
    try:
        return Value(task, unpickle(data), outcome.log, data)
    except BaseException as error:  # the user's __setstate__ may raise anything, and this thread runs the whole job
        text = f"its result cannot be unpickled here: {type(error).__name__}: {error}"
        if isinstance(error, ModuleNotFoundError):
            text += f"; install {(error.name or '').partition('.')[0]} here, or return plain data made from it"
        return Final(make(ResultError, task, text, outcome.log))


def _remote_error(outcome: Outcome, task: Task, invocation: _Invocation) -> TaskError:
    remote = outcome.traceback
    assert remote is not None
    original: BaseException | None = None
    with contextlib.suppress(BaseException):  # the class may not exist here; name, text and frames suffice
        original = unpack(outcome.exception) if outcome.exception else None
    kind, remedy = failures.of_exception(remote, invocation.limits.memory, original)
    message = (f"{remote.type}: {remote.message}" if remote.message else remote.type) + remedy
    about = {"index": task.index, "item": short_repr(task.item), "log": outcome.log}
    try:
        error = kind.wrap(original, message, **about)
    except BaseException:  # the user's class may do anything when an instance is made
        error = kind.wrap(None, message, **about)
    _attach(error, outcome, invocation.name_code)
    return error


def _attach(error: TaskError, outcome: Outcome, name_code: Callable[[str], str]) -> None:
    if outcome.traceback is None:
        return
    details = facts(error)
    details.traceback = outcome.traceback if isinstance(error, RemoteError) else None
    details.where = tracebacks.locate(outcome.traceback, name_code)
    if outcome.traceback.frames or outcome.traceback.parts:
        add_note(error, tracebacks.render(outcome.traceback, name_code))


def judge_failure(reply: Reply, tasks: Sequence[Task], limits: Limits) -> list[Verdict]:
    """Judge the tasks of an invocation whose sandbox did not reply."""
    kind, text = failures.of_sandbox(reply, limits.memory, limits.timeout)
    # Which of several tasks ended the sandbox is unknown: each is sent again alone.
    if len(tasks) == 1:
        return [Lost(make(kind, tasks[0], text))]
    text = f"the invocation it shared with {len(tasks) - 1} others was lost: {text}"
    return [Disturbed(make(kind, task, text)) for task in tasks]
