"""Runs the checks one after another, each independently, and always cleans up."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

from lithops_magic.aws.session import Notify, silent
from lithops_magic.config import Settings
from lithops_magic.verify import jobs, service
from lithops_magic.verify.context import CheckContext
from lithops_magic.verify.finding import Finding, Observation, Skip, judged

Check = Callable[[CheckContext], Observation]

CHECKS: tuple[tuple[str, str, Check], ...] = (
    ("identity", "who you are", service.identity),
    ("deployment", "a function is deployed and answers", jobs.deployed),
    ("cold start", "the first invocation gets a new sandbox", jobs.cold),
    ("warm start", "the next one reuses it", jobs.warm),
    ("order", "200 values in the order of their items", jobs.order),
    ("inline data", "4 MB in the request and in the reply", jobs.inline),
    ("spilled data", "20 MB through S3, both ways", jobs.spilled),
    ("package", "a layer with the packages the function imports", jobs.packaged),
    ("shared files", "a file that a task writes is there", jobs.shared_files),
    ("error", "the exception with its type and line", jobs.raised),
    ("timeout", "TaskTimeout", jobs.timed_out),
    ("out of memory", "TaskOutOfMemory", jobs.out_of_memory),
    ("crash", "TaskCrashed", jobs.crashed),
    ("retry", "a task whose sandbox dies is rerun", jobs.retried),
    ("throttling", "a job with too little concurrency still completes", jobs.throttled),
    ("logs", "what a task prints", jobs.logged),
    ("CloudWatch", "the log group has REPORT lines", jobs.in_cloudwatch),
    ("detach and attach", "a job continues without this machine", jobs.detached),
    ("cancel", "a stopped job sends nothing more", jobs.cancelled),
    ("budget", "max_cost stops a job", jobs.budget),
    ("Invoke", "200 with a REPORT line in the log", service.invoked),
    ("Invoke: dry run", str(service.PERMITTED), service.permitted),
    ("Invoke: asynchronous", str(service.ACCEPTED), service.accepted),
    ("Invoke: exception", "200 Unhandled ValueError", service.raised),
    ("Invoke: return value is not JSON", "200 Unhandled Runtime.MarshalError", service.unserializable),
    ("Invoke: exit status 7", "200 Unhandled Runtime.ExitError", service.exited),
    ("Invoke: exit status 0", "200 Unhandled Runtime.ExitError", service.left),
    ("Invoke: timeout", "200 Unhandled Sandbox.Timedout", service.timed_out),
    ("Invoke: out of memory", "200 Unhandled, killed", service.killed),
    ("Invoke: largest request", "200 for 6,291,456 bytes", service.full_request),
    ("Invoke: larger request", str(service.TOO_LARGE_REQUEST), service.too_large_request),
    ("Invoke: largest reply", "200 with 6,291,556 bytes", service.full_reply),
    ("Invoke: larger reply", "200 Unhandled Function.ResponseSizeTooLarge", service.too_large_reply),
    ("Invoke: not JSON", str(service.NOT_JSON), service.not_json),
    ("Invoke: unknown function", str(service.UNKNOWN_FUNCTION), service.unknown_function),
    ("S3: range", "206 bytes 2-4/10", service.ranged),
    ("S3: range beyond the end", "416 InvalidRange", service.beyond),
    ("S3: conditional write", "412 PreconditionFailed", service.written_once),
    ("S3: missing key", "404 NoSuchKey", service.absent),
)
"""Name, expectation and check, in the order in which they run."""


def verify(settings: Settings, max_cost: float, notify: Notify = silent) -> Generator[Finding]:
    """Run every check and yield its finding; what they created is deleted at the end, or when this generator is closed.

    A failed check does not stop the others.

    Parameters
    ----------
    max_cost
        USD of Lambda at list price after which no further check is started.

    Raises
    ------
    LithopsMagicError
        Nothing can be checked: the settings are invalid, or there are no credentials.
    """
    context = CheckContext(settings, notify)
    try:
        for name, expected, check in CHECKS:
            # Checked between checks: what one of them costs is known only once it has run.
            if context.spent >= max_cost:
                skipped = Observation("skipped", f"${context.spent:.4f} of at most ${max_cost:g} spent")
                yield Finding(name, expected, skipped, 0.0, 0, 0.0)
                continue
            requests, spent, started = context.requests, context.spent, time.monotonic()
            seen = _run_check(check, context)
            seconds = time.monotonic() - started
            yield Finding(name, expected, seen, seconds, context.requests - requests, context.spent - spent)
    finally:
        started = time.monotonic()
        left = context.clean()
    text = "everything created was deleted" if not left else "; ".join(left)
    yield Finding("cleanup", "nothing is left", judged(not left, text), time.monotonic() - started, 0, 0.0)


def _run_check(check: Check, context: CheckContext) -> Observation:
    try:
        return check(context)
    except Skip as skip:
        return Observation("skipped", str(skip))
    except Exception as error:  # whatever goes wrong is a finding, too
        return Observation("failed", f"{type(error).__name__}: {error}")
