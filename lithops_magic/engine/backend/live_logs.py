"""What tasks print while they run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lithops_magic.engine.backend.aws_lambda import deployed_here
from lithops_magic.engine.job.job import Job
from lithops_magic.worker.seal import label

if TYPE_CHECKING:
    from lithops_magic.aws.growing_logs import LogLine
    from lithops_magic.config import Settings

INTERVAL = 1.0
"""Seconds between two polls."""
_TICK = 0.1
_PLATFORM = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "INIT_START ", "INIT_REPORT ")
"""Prefixes of Lambda's own log lines."""


def follow(job: Job, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each line as a task prints it, with the task (or first and last of a chunk), until the job is over.

    CloudWatch lags by some seconds, and the end of a job does not wait for it: lines still missing then are taken from
    the replies.

    Raises
    ------
    AwsError
        For example, reading the logs is not allowed.
    """
    told: Counter[str] = Counter()
    if not job.over:
        for tasks, line in _live(job, settings):
            told[line] += 1
            yield tasks, line
    # Whatever CloudWatch has not shown by the end is in the replies; counting lines avoids showing any twice.
    for index, text in sorted(job.logs().items()):
        for line in text.splitlines():
            if told[line]:
                told[line] -= 1
            else:
                yield str(index), line


def _live(job: Job, settings: Settings) -> Iterator[tuple[str, str]]:
    from lithops_magic.aws.growing_logs import GrowingLogs
    from lithops_magic.aws.session import Cloud

    cloud, mark = Cloud.connect(settings), f"lithops-magic {label(job.key)} "
    logs = GrowingLogs(cloud, mark, job.began, deployed_here)
    running: dict[str, str] = {}
    while not job.over:
        for printed in logs.new():
            yield from _of_job(printed, mark, running)
        for _ in range(round(INTERVAL / _TICK)):
            # Wakes up regularly, so that an interrupt is noticed.
            job.await_end(_TICK)


def _of_job(printed: LogLine, mark: str, running: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield a line if it belongs to one of the job's tasks, going by what each sandbox last said to be `running`."""
    if printed.text.startswith(mark):
        running[printed.stream] = printed.text.removeprefix(mark)
    elif printed.text.startswith(_PLATFORM):
        # The next request in this sandbox may belong to another job.
        running.pop(printed.stream, None)
    elif tasks := running.get(printed.stream):
        yield tasks, printed.text
