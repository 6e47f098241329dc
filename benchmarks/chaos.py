"""Whole jobs behind a faulty proxy: nothing lost, nothing wrong, nothing failed.

The proxy and its faults are those of the tests (`tests/faults`); the endpoint is a local AWS. An outage begins when a
third of the tasks is done: the endpoint refuses connections and breaks those it has, answers 503 or 429, or breaks
every connection that brings a request. Jobs have the usual two retries, except those in which a fifth of all answers is
lost at random, or a third is corrupted anywhere in its head or body: these have nine. *Most attempts* is that of the
unluckiest task. The last row fetches values from S3 with corrupted answers or references: a value must be right, or
refused in one line; anything else counts as failed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import local_aws, machine, parser, report, seconds, table

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "faults"), str(TESTS)]
from fault_fetches import fetch  # noqa: E402
from fault_kinds import (  # noqa: E402
    ALTERED,
    HARMLESS,
    LOST_EXECUTED,
    LOST_UNEXECUTED,
    SHORT_PAUSES,
    answering,
    mutating,
    reset_after_body,
    response,
)
from fault_proxy import FaultProxy, Rule, proxying  # noqa: E402

SHARE = 0.01
"""Share of the requests that each fault of the storm strikes."""
WORKERS = 48
PATIENCE = 180.0
"""Seconds after which a job counts as hanging."""
BUSY = answering("503", response(503))
THROTTLE = answering("429", response(429, "TooManyRequestsException", Reason="ConcurrentInvocationLimitExceeded"))
ALL = (*SHORT_PAUSES, *LOST_UNEXECUTED, *LOST_EXECUTED, *ALTERED, *HARMLESS)

Trouble = Callable[[FaultProxy], None]


def square(item: int) -> int:
    """Stand for the work."""
    return item * item


def outage(kind: str, length: float) -> Trouble:
    """Answer nothing for so many seconds."""

    def trouble(proxy: FaultProxy) -> None:
        if kind == "refused":
            proxy.down()
        else:
            proxy.reset(Rule({"503": BUSY, "429": THROTTLE, "reset": reset_after_body}[kind]))
        time.sleep(length)
        proxy.reset()
        proxy.up()

    return trouble


def storm(proxy: FaultProxy) -> None:
    """Inject every kind of fault from now on."""
    proxy.reset(*(Rule(play, rate=SHARE) for play in ALL), seed=1)


def throttles(proxy: FaultProxy) -> None:
    """Throttle half of the requests for ten seconds."""
    proxy.reset(Rule(THROTTLE, rate=0.5))
    time.sleep(10)
    proxy.reset()


def corruption(proxy: FaultProxy) -> None:
    """Corrupt a third of all answers from now on."""
    proxy.reset(Rule(mutating(1), rate=0.3), seed=1)


def troubles(lengths: list[float]) -> dict[str, tuple[int, int, Trouble]]:
    """Return retries, chunk size and trouble by name."""
    outages = {f"{kind} for {length:g} s": (2, 4, outage(kind, length)) for kind in KINDS for length in lengths}
    return {
        "none": (2, 4, lambda _: None),
        **outages,
        "half 429 for 10 s": (2, 4, throttles),
        "all faults": (9, 4, storm),
        "answers corrupted": (9, 1, corruption),
    }


KINDS = ("refused", "503", "reset", "429")


def run(proxy: FaultProxy, settings: Any, tasks: int, retries: int, chunk: int, trouble: Trouble) -> dict[str, Any]:
    """Run one job and count what became of its tasks."""
    import lithops_magic

    proxy.reset()
    options = {"chunksize": chunk, "workers": WORKERS, "retries": retries, "background": True}
    began = time.perf_counter()
    result = lithops_magic.map(square, range(tasks), settings=settings, **options)
    while result.snapshot().done < tasks / 3 and not result.done():
        time.sleep(0.001)
    trouble(proxy)
    ended = result.wait(PATIENCE)
    took, s = time.perf_counter() - began, result.snapshot()
    wrong = sum(value != index * index for index, value in result.succeeded().items())
    proxy.reset()
    return {
        "seconds": took,
        "tasks": tasks,
        "lost": tasks - s.done - s.failed if ended else tasks,
        "wrong": wrong,
        "failed": s.failed,
        "retried": s.retried,
        "throttled": s.throttled,
        "attempts": max(stats.attempts for stats in result.stats),
        "broken": str(result.error or ""),
    }


def fetches(proxy: FaultProxy, settings: Any, number: int) -> dict[str, Any]:
    """Fetch a value `number` times from a faulty S3, without retries."""
    from lithops_magic.aws.storage import retries

    os.environ["AWS_MAX_ATTEMPTS"], retries.SECONDS = "1", -1.0
    began = time.perf_counter()
    found = fetch(proxy, settings, number)
    took = time.perf_counter() - began
    other = number - found["right"] - found["refused"] - found["wrong"]
    counts = dict.fromkeys(("lost", "retried", "throttled"), 0)
    return {"seconds": took, "tasks": number, "wrong": found["wrong"], "failed": other, "attempts": 1, **counts}


@contextmanager
def faulty_aws() -> Any:
    """Start a local AWS behind a proxy, used like an account."""
    from lithops_magic.aws.invoke import sender
    from lithops_magic.config import Settings

    # One of the faults is an answer that never comes: waiting half a minute for each would hide the others.
    sender.ANSWER_MARGIN = -1.0
    with local_aws() as aws, proxying(("127.0.0.1", int(aws.server.endpoint_url.rpartition(":")[2]))) as proxy:
        yield (
            proxy,
            Settings(
                local=False,
                endpoint_url=proxy.url,
                region=aws.server.region,
                account_id=aws.server.account_id,
                access_key_id=aws.server.access_key_id,
                secret_access_key=aws.server.secret_access_key,
                execution_role=aws.role,
                namespace="chaos",
                memory=256,
                timeout=3,
            ),
        )


def result_table(runs: dict[str, dict[str, Any]]) -> str:
    counts = ("tasks", "lost", "wrong", "failed", "retried", "throttled", "attempts")
    rows = [
        [name, *(f"{found[count]:,}" for count in counts), seconds(found["seconds"])] for name, found in runs.items()
    ]
    return table(["trouble", *counts[:-1], "most attempts", "time"], rows)


def main() -> None:
    options = parser(__doc__, "400 tasks, outages of 1 s").parse_args()
    tasks, lengths = (400, [1.0]) if options.short else (10_000, [1.0, 3.0, 10.0])
    with faulty_aws() as (proxy, settings):
        run(proxy, settings, 8, 2, 4, lambda _: None)  # deploys the function
        runs = {name: run(proxy, settings, tasks, *what) for name, what in troubles(lengths).items()}
        runs["values corrupted"] = fetches(proxy, settings, tasks // 2)
    report([result_table(runs)], runs, machine(), options.json)
    if bad := [name for name, found in runs.items() if found["lost"] or found["wrong"] or found["failed"]]:
        raise SystemExit(f"Not all came back right: {', '.join(bad)}")


if __name__ == "__main__":
    main()
