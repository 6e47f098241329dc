"""Checks of whole jobs: each runs one and looks at the result."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from lithops_magic.errors import (
    LithopsMagicError,
    RemoteError,
    TaskCrashed,
    TaskError,
    TaskOutOfMemory,
    TaskTimeout,
)
from lithops_magic.verify.context import CheckContext, wait_for
from lithops_magic.verify.finding import Observation, Skip, equal, judged

_SHORT: dict[str, Any] = {"timeout": 3, "memory": 256, "retries": 0}
"""Options for jobs whose tasks are meant to fail."""
_INLINE = 4_000_000
"""Bytes that fit inline in a request, encoded."""
_DELIVERY = 30.0
"""Seconds that logs may take to arrive in CloudWatch."""
_EVENT = 60.0
"""Seconds until a job has been throttled, or has its first value."""
_SPILLED = 20_000_000
"""Bytes that do not fit inline."""


def _square() -> Callable[[int], int]:
    """Return a function that belongs to no module, so that it is shipped by value."""
    return lambda x: x * x


def _slow(seconds: float) -> Callable[[int], int]:
    def slow(x: int) -> int:
        time.sleep(seconds)
        return x

    return slow


def deployed(context: CheckContext) -> Observation:
    result = context.map(_square(), [12])
    context.works = result.succeeded() == {0: 144}
    return equal([144], result.values(), f"{context.function()} answered 144")


def cold(context: CheckContext) -> Observation:
    """Look at the first job."""
    context.need_jobs()
    return equal(1, context.started[0].snapshot().cold_starts, "1 cold start")


def warm(context: CheckContext) -> Observation:
    result = context.map(_square(), [3], workers=1)
    if result.values() != [9]:
        return equal([9], result.values(), "")
    return equal(0, result.snapshot().cold_starts, "no cold start")


def _round_trip(context: CheckContext, size: int) -> Observation:
    # Random, or it would be compressed.
    data = random.Random(size).randbytes(size)
    result = context.map(lambda given: given[::-1], [data])
    there = result[0] == data[::-1]
    return judged(there, f"{size:,} bytes round trip" if there else "different bytes came back")


def inline(context: CheckContext) -> Observation:
    return _round_trip(context, _INLINE)


def spilled(context: CheckContext) -> Observation:
    return _round_trip(context, _SPILLED)


def order(context: CheckContext) -> Observation:
    result = context.map(_square(), range(200))
    return equal([x * x for x in range(200)], result.values(), "200 values in order")


def raised(context: CheckContext) -> Observation:
    def look(x: int) -> int:
        return {1: 2}[x]

    result = context.map(look, [1, 5])
    error = result.errors.get(1)
    if result.succeeded() != {0: 2} or not isinstance(error, RemoteError) or not isinstance(error, KeyError):
        return Observation("failed", f"{result.succeeded()} and {error!r:.100}")
    return Observation("ok", "KeyError of task 1 only")


def _fails_with(context: CheckContext, function: Any, kind: type[TaskError]) -> Observation:
    result = context.map(function, [0], **_SHORT)
    error = result.errors.get(0)
    same = type(error) is kind
    return judged(same, kind.__name__ if same else f"{type(error).__name__} instead of {kind.__name__}: {error}"[:200])


def timed_out(context: CheckContext) -> Observation:
    return _fails_with(context, lambda _: time.sleep(20), TaskTimeout)


def out_of_memory(context: CheckContext) -> Observation:
    def allocate(_: int) -> int:
        # Not zeros, for which the kernel would provide no memory.
        return len(bytearray(b"x") * (1 << 30))

    return _fails_with(context, allocate, TaskOutOfMemory)


def crashed(context: CheckContext) -> Observation:
    def leave(_: int) -> None:
        import os

        os._exit(7)

    return _fails_with(context, leave, TaskCrashed)


def retried(context: CheckContext) -> Observation:
    def later(moment: float) -> str:
        import os

        if time.time() < moment:
            os._exit(1)
        return "done"

    # Uses the sandbox's clock, which may differ from this machine's.
    now = context.map(lambda _: time.time(), [0])[0]
    result = context.map(later, [now + 2], **{**_SHORT, "retries": 50})
    lost = result.snapshot().retried
    return judged(lost and result.succeeded() == {0: "done"}, f"done after {lost} lost attempts")


def throttled(context: CheckContext) -> Observation:
    """A job under a concurrency limit so low that AWS throttles it first."""
    from botocore.exceptions import ClientError

    context.need_jobs()
    client, name = context.cloud.client("lambda"), context.function()
    try:
        # With nothing reserved, AWS throttles every invocation until the limit is lifted below.
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    except ClientError as error:
        raise Skip(f"concurrency cannot be reserved: {error.response.get('Error', {}).get('Code')}") from None
    try:
        result = context.start(_square(), range(8), chunksize=1)
        wait_for(lambda: result.snapshot().throttled or not result.running(), _EVENT)
    finally:
        client.delete_function_concurrency(FunctionName=name)
    values, waited = context.finish(result).succeeded(), result.snapshot().throttled
    done = values == {x: x * x for x in range(8)}
    return judged(waited and done, f"{len(values)} of 8 done, {waited} throttled")


def packaged(context: CheckContext) -> Observation:
    from packaging.version import Version

    def newer(text: str) -> bool:
        return Version(text) > Version("1.9")

    return equal([True], context.map(newer, ["1.10"]).values(), "a package was shipped")


def logged(context: CheckContext) -> Observation:
    def speak(x: int) -> int:
        print(f"hello from task {x}")  # noqa: T201
        return x

    result = context.map(speak, [1, 2])
    return equal("hello from task 2\n", result.logs(1), "what a task prints came back")


def in_cloudwatch(context: CheckContext) -> Observation:
    context.need_jobs()
    client, group = context.cloud.client("logs"), f"/aws/lambda/{context.function()}"
    until = time.monotonic() + _DELIVERY
    while time.monotonic() < until:
        try:
            events = client.filter_log_events(logGroupName=group, filterPattern='"REPORT RequestId"', limit=1)
        except client.exceptions.ResourceNotFoundException:
            events = {"events": []}  # type: ignore[typeddict-item]
        if events["events"]:
            return Observation("ok", "REPORT lines found")
        time.sleep(2)
    return Observation("failed", f"no REPORT line after {_DELIVERY:.0f} s")


def detached(context: CheckContext) -> Observation:
    from lithops_magic.engine.attach import attach

    result = context.start(_square(), range(10), detach=True)
    if not result.wait(60):
        raise LithopsMagicError("The job was not detached within 60 s.")
    followed = context.finish(attach(result.job_id, settings=context.settings))
    context.started.append(followed)
    return equal([x * x for x in range(10)], followed.values(), "10 values from attach()")


def cancelled(context: CheckContext) -> Observation:
    result = context.start(_slow(0.2), range(500), workers=2, chunksize=1)
    wait_for(lambda: result.succeeded() or not result.running(), _EVENT)
    result.cancel()
    snapshot = context.finish(result).snapshot() if result.error is None else result.snapshot()
    stopped = snapshot.state == "cancelled" and snapshot.done and snapshot.cancelled
    return judged(stopped, f"{snapshot.done} done, {snapshot.cancelled} never run")


def shared_files(context: CheckContext) -> Observation:
    """The configured EFS or S3 Files access point."""
    if not context.settings.efs:
        raise Skip("no EFS is configured")
    path = f"{context.settings.efs[0].mount_path}/{context.function()}"

    def write(text: str) -> str:
        from pathlib import Path

        Path(path).write_text(text)
        found = Path(path).read_text()
        Path(path).unlink()
        return found

    return equal(["written"], context.map(write, ["written"]).values(), "written, read and removed")


def budget(context: CheckContext) -> Observation:
    """A job whose first task exceeds its cost limit."""
    result = context.start(_slow(0.3), range(100), workers=1, chunksize=1, max_cost=1e-6)
    result.wait(60)
    result.cancel()
    done = result.snapshot().done
    return judged(0 < done < 100, f"stopped after {done} of 100 tasks")
