"""What tasks print, while they run."""

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
"""Seconds between two looks."""
_TICK = 0.1
_PLATFORM = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "INIT_START ", "INIT_REPORT ")
"""How the lines begin that are Lambda's own."""


def follow(job: Job, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what tasks print as it comes, until the job is over: the task, or first and last of a chunk, and a line.

    CloudWatch is some seconds late, and the end of a job does not wait for it: what is still missing then is taken from
    the replies.

    Raises
    ------
    AwsError
        The logs may not be read, for example.
    """
    told: Counter[str] = Counter()
    if not job.over:
        for tasks, line in _live(job, settings):
            told[line] += 1
            yield tasks, line
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
            # An interrupt is noticed between two waits.
            job.await_end(_TICK)


def _of_job(printed: LogLine, mark: str, running: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield a line if it is one of the job's tasks, by what each sandbox said last that it is `running`."""
    if printed.text.startswith(mark):
        running[printed.stream] = printed.text.removeprefix(mark)
    elif printed.text.startswith(_PLATFORM):
        # Another request may be another job's.
        running.pop(printed.stream, None)
    elif tasks := running.get(printed.stream):
        yield tasks, printed.text
