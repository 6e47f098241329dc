"""Which verdict follows from what a worker says of a task, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from lithops_magic.aws.invoke.outcomes import Reply
from lithops_magic.aws.invoke.report import InvocationReport
from lithops_magic.aws.storage.objects import TAMPERED
from lithops_magic.engine.backend.endpoint import Limits
from lithops_magic.engine.dispatch import verdicts
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.reply import Outcome, WorkerReply
from lithops_magic.errors import (
    AwsError,
    RemoteError,
    RemoteFrame,
    RemoteTraceback,
    ResultError,
    ResultTooLarge,
    TamperedError,
    TaskCrashed,
    TaskError,
    TaskLost,
    TaskOutOfMemory,
    TaskTimeout,
    facts,
)
from lithops_magic.worker import exceptions, packing

LIMITS = Limits(512, 7)
TASK, NEXT = Task(4, "item four"), Task(9, "item nine")
WHERE = RemoteFrame("/gone/cell.py", 3, "f", "x / 0", library=False)
TRACEBACK = RemoteTraceback("ZeroDivisionError", "division by zero", (WHERE,))


def judged(outcome: Outcome, *, first: bool = True, used: int | None = None) -> Any:
    """The verdict over one of two tasks, of which the other did not run."""
    tasks = [TASK, NEXT] if first else [NEXT, TASK]
    found = verdicts.judge(WorkerReply("box", False, {4: outcome}), tasks, LIMITS, lambda file: "Cell In[6]", used)
    assert found.pop(1 if first else 0) == verdicts.NotRun()
    return found[0]


def said(error: TaskError) -> tuple[type, str, int | None, str, str]:
    known = facts(error)
    return type(error), known.message, known.index, known.item, known.log


def test_a_value_is_unpacked_unless_it_is_elsewhere() -> None:
    container = packing.dumps([1, "two"])
    assert judged(Outcome("ok", value=container, log="said")) == verdicts.Value(TASK, [1, "two"], "said", container)
    away = Outcome("ok", reference={"object": "key"})
    assert judged(away) == verdicts.Fetch(away)


BIG = "its result takes 7,000,000 bytes, but AWS allows about 6,291,000 in a reply: return less, or write it to S3 and "
CROWDED = "its result did not fit in the reply with the others of its chunk: use a smaller chunksize"


@pytest.mark.parametrize(
    ("outcome", "verdict", "kind", "text", "log"),
    [
        (Outcome("died", code=3, log="l"), verdicts.Lost, TaskCrashed, "its process exited with status 3. ", "l"),
        (Outcome("dropped", log="l"), verdicts.Disturbed, ResultTooLarge, f"{CROWDED}|", "l"),
        (Outcome("dropped", reason="why"), verdicts.Disturbed, ResultTooLarge, f"{CROWDED} (why)|", ""),
        (
            Outcome("too_large", size=7_000_000, log="l"),
            verdicts.Final,
            ResultTooLarge,
            f"{BIG}return its address|",
            "l",
        ),
        (
            Outcome("too_large", size=7_000_000, reason="why"),
            verdicts.Final,
            ResultTooLarge,
            f"{BIG}return its address (why)|",
            "",
        ),
        (Outcome("tampered", reason="altered", log="l"), verdicts.Final, TamperedError, "altered|", ""),
        (Outcome("absent", reason="gone"), verdicts.NotInStore, TaskLost, "gone|", ""),
        (Outcome("store", reason="S3 said no"), verdicts.Lost, TaskLost, "S3 said no|", ""),
        (
            Outcome("unpicklable", of="generator", reason="no", log="l"),
            verdicts.Final,
            ResultError,
            "its result, a generator, cannot be pickled: no; ",
            "l",
        ),
    ],
)
def test_what_is_no_value_is_an_error_about_its_task(
    outcome: Outcome, verdict: type, kind: type, text: str, log: str
) -> None:
    found = judged(outcome)
    error = found.error
    assert type(found) is verdict
    which, message, index, item, logged = said(error)
    assert (which, index, item, logged) == (kind, 4, "'item four'", log)
    assert f"{message}|".startswith(text)
    assert facts(error).traceback is None


def test_a_process_that_was_killed_with_all_memory_in_use_ran_out_of_it() -> None:
    assert type(judged(Outcome("died", code=-9), used=511).error) is TaskOutOfMemory
    assert type(judged(Outcome("died", code=-9), used=100).error) is TaskCrashed
    assert "511 of the function's 512 MB" in str(judged(Outcome("died", code=-9), used=511).error)


@pytest.mark.parametrize(("first", "kind"), [(True, verdicts.Lost), (False, verdicts.Disturbed)])
def test_a_timeout_may_be_the_fault_of_the_tasks_before_and_says_where_it_was(first: bool, kind: type) -> None:
    verdict = judged(Outcome("timeout", traceback=TRACEBACK, log="l"), first=first)
    error = verdict.error
    assert type(verdict) is kind
    assert said(error)[0::4] == (TaskTimeout, "l")
    assert facts(error).message == "it ran longer than the function's 7 s; raise it with timeout (--timeout)"
    # What was running when time was up is no exception of the user's.
    assert facts(error).traceback is None
    assert facts(error).where == "Cell In[6], line 3: `x / 0`"
    (note,) = error.__notes__
    assert "Cell In[6]" in note
    without = judged(Outcome("timeout"), first=first).error
    assert (facts(without).where, getattr(without, "__notes__", [])) == ("", [])
    bare = judged(Outcome("timeout", traceback=RemoteTraceback("TaskTimeout", "x"))).error
    assert getattr(bare, "__notes__", []) == []


def test_an_exception_of_the_user_s_is_one_here_too() -> None:
    raised = exceptions.pack(ZeroDivisionError("division by zero"))
    outcome = Outcome("error", traceback=TRACEBACK, exception=raised, log="l", not_found=(("a", "b"),))
    verdict = judged(outcome)
    assert (type(verdict), verdict.not_found) == (verdicts.Final, (("a", "b"),))
    error = verdict.error
    assert isinstance(error, RemoteError)
    assert isinstance(error, ZeroDivisionError)
    assert said(error)[1:] == ("ZeroDivisionError: division by zero", 4, "'item four'", "l")
    assert (facts(error).traceback, facts(error).where) == (TRACEBACK, "Cell In[6], line 3: `x / 0`")
    (note,) = error.__notes__
    assert "Cell In[6]" in note
    assert "x / 0" in note


@pytest.mark.parametrize("exception", [b"", b"no pickle", packing.dumps("no exception")])
def test_without_the_exception_its_name_and_text_suffice(exception: bytes) -> None:
    silent = RemoteTraceback("MemoryError", "", (WHERE,))
    error = judged(Outcome("error", traceback=silent, exception=exception, log="l")).error
    assert said(error) == (
        RemoteError, "MemoryError (the function has 512 MB; raise it with memory (--memory))", 4, "'item four'", "l"
    )  # fmt: skip


class Stubborn(Exception):
    """Cannot be part of another class."""

    def __init_subclass__(cls) -> None:
        raise RuntimeError("no")


def test_an_exception_that_cannot_be_one_of_ours_leaves_its_name_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "unpack", lambda _: Stubborn("x"))
    error = judged(Outcome("error", traceback=RemoteTraceback("Stubborn", "x"), exception=b"x", log="l")).error
    assert said(error) == (RemoteError, "Stubborn: x", 4, "'item four'", "l")
    assert facts(error).traceback == RemoteTraceback("Stubborn", "x")
    assert getattr(error, "__notes__", []) == []


class Picky(RemoteError):
    """Can be made of no exception."""

    @classmethod
    def wrap(cls, original: BaseException | None, message: str, **details: Any) -> TaskError:
        if original is not None:
            raise RuntimeError("no")
        return super().wrap(original, message, **details)


def test_an_exception_that_breaks_ours_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts.failures, "of_exception", lambda *_: (Picky, " (why)"))
    exception = exceptions.pack(ValueError("x"))
    error = judged(Outcome("error", traceback=RemoteTraceback("E", "x"), exception=exception, log="l")).error
    assert said(error) == (Picky, "E: x (why)", 4, "'item four'", "l")
    assert facts(error).traceback == RemoteTraceback("E", "x")


def place(content: bytes | BaseException) -> Any:
    class Place:
        def download(self, reference: Any) -> bytes:
            assert reference == {"object": "key"}
            if isinstance(content, BaseException):
                raise content
            return content

    return Place()


def test_a_value_that_is_fetched() -> None:
    outcome = Outcome("ok", reference={"object": "key"}, log="l")
    container = packing.dumps("large")
    assert verdicts.fetch(place(container), outcome, TASK) == verdicts.Value(TASK, "large", "l", container)
    for code, verdict, kind, text in (
        ("NoSuchKey", verdicts.Lost, ResultError, "its result could not be fetched from S3: it is not here"),
        (TAMPERED, verdicts.Final, TamperedError, "its result: it is not here"),
    ):
        error = AwsError("it is not here", code=code)
        found: Any = verdicts.fetch(place(error), outcome, TASK)
        assert type(found) is verdict
        assert said(found.error) == (kind, text, 4, "'item four'", "l")


@pytest.mark.parametrize(
    ("container", "text"),
    [
        (
            b"cnowhere.sub\nX\n.",
            "ModuleNotFoundError: No module named 'nowhere'; install nowhere here, or return plain ",
        ),
        (
            b"cjson.nowhere\nX\n.",
            "ModuleNotFoundError: No module named 'json.nowhere'; install json here, or return plain data made from it",
        ),
        (b"cos\nnowhere\n.", "AttributeError: "),
    ],
)
def test_a_value_that_cannot_be_unpickled_here(container: bytes, text: str) -> None:
    found = judged(Outcome("ok", value=container, log="l"))
    assert type(found) is verdicts.Final
    kind, message, index, item, log = said(found.error)
    assert (kind, index, item, log) == (ResultError, 4, "'item four'", "l")
    assert message.startswith(f"its result cannot be unpickled here: {text}")
    assert ("install" in message) == ("nowhere'" in text)


def test_an_invocation_whose_sandbox_did_not_reply() -> None:
    report = InvocationReport(1.0, 1, 512, 511)
    reply = Reply(b'{"errorType": "Runtime.OutOfMemory", "errorMessage": "x"}', "Unhandled", "", "r", report)
    text = "it used up 511 of the function's 512 MB; raise it with memory (--memory)"
    (alone,) = verdicts.judge_failure(reply, [TASK], LIMITS)
    assert isinstance(alone, verdicts.Lost)
    assert said(alone.error) == (TaskOutOfMemory, text, 4, "'item four'", "")
    both = verdicts.judge_failure(reply, [TASK, NEXT, NEXT], LIMITS)
    shared = f"the invocation it shared with 2 others was lost: {text}"
    assert [(type(one), *said(one.error)[:3]) for one in both] == [  # type: ignore[union-attr]
        (verdicts.Disturbed, TaskOutOfMemory, shared, index) for index in (4, 9, 9)
    ]
    late = Reply(b'{"errorType": "Sandbox.Timedout", "errorMessage": "x"}', "Unhandled", "", "r", report)
    (timed_out,) = verdicts.judge_failure(late, [TASK], LIMITS)
    assert "the function's 7 s" in str(timed_out.error)  # type: ignore[union-attr]
