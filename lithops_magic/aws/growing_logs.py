"""Reads from CloudWatch Logs what functions print while they run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.session import Cloud

PREFIX = "/aws/lambda/lithops-magic-"
PAGES = 5
"""Maximum requests per poll of a log group, each of at most 1 MB."""
OVERLAP = 15.0
"""Seconds that are read again, because CloudWatch does not deliver events in the order they were written."""
TRIED = 3
"""Log groups searched at a time, because an account may make five such requests a second."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line in a sandbox's log."""

    stream: str
    text: str


class GrowingLogs:
    """The logs of the functions that run a job.

    Parameters
    ----------
    cloud
        Whose logs to read.
    mark
        Text that identifies the job in a function's logs.
    since
        When the job started, in seconds since 1970.
    likely
        Returns the functions to search first; may return more later.
    """

    def __init__(self, cloud: Cloud, mark: str, since: float, likely: Callable[[], Iterable[str]]) -> None:
        self._logs = cloud.client("logs")
        self._mark = mark
        # Clocks may disagree.
        self._since = int((since - OVERLAP) * 1000)
        self._read: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self._likely = likely
        self._waiting: list[str] = []

    def new(self) -> list[LogLine]:
        """Return new lines in the order they were written.

        Raises
        ------
        AwsError
            For example, the caller may not read the logs.
        """
        with aws_errors():
            self._find()
            events = [event for group in self._read for event in self._events(group)]
        fresh = {event["eventId"]: event for event in events if event["eventId"] not in self._seen}
        self._seen |= {name: event["timestamp"] for name, event in fresh.items()}
        # Older events cannot be delivered again, so they need not be remembered.
        oldest = min(self._read.values(), default=0)
        self._seen = {name: at for name, at in self._seen.items() if at >= oldest}
        found = sorted(fresh.values(), key=lambda event: event["timestamp"])
        return [LogLine(event["logStreamName"], event["message"].rstrip("\r\n")) for event in found]

    def _find(self) -> None:
        """Search a few more log groups for the mark."""
        if not self._waiting:
            pages = self._logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=PREFIX)
            # Newest first: a job that runs now is most likely in a function that was created recently.
            groups = sorted(
                (group for page in pages for group in page["logGroups"]), key=lambda one: -one["creationTime"]
            )
            self._waiting = [group["logGroupName"] for group in groups]
        tried, self._waiting = self._waiting[:TRIED], self._waiting[TRIED:]
        likely = [group for name in self._likely() if (group := f"/aws/lambda/{name}") not in self._read]
        for group in dict.fromkeys([*likely[:TRIED], *tried]):
            if group not in self._read and self._ask(group, self._since, filterPattern=f'"{self._mark}"', limit=1):
                self._read[group] = self._since

    def _events(self, group: str) -> list[Any]:
        start = self._read[group]
        events = self._ask(group, start)
        latest = max((event["timestamp"] for event in events), default=start)
        # Not beyond the present: an event with a clock that is fast would hide all that follow.
        self._read[group] = max(start, min(latest, int(time.time() * 1000)) - int(OVERLAP * 1000))
        return events

    def _ask(self, group: str, start: int, **options: Any) -> list[Any]:
        found: list[Any] = []
        try:
            for _ in range(PAGES):
                page = self._logs.filter_log_events(logGroupName=group, startTime=start, **options)
                found += page["events"]
                if "nextToken" not in page or ("limit" in options and found):
                    break
                options["nextToken"] = page["nextToken"]
        except self._logs.exceptions.ResourceNotFoundException:
            return []  # Lambda creates the group with the first output
        return found
