"""Ships functions' output to CloudWatch Logs in a separate thread, so that no invocation waits for it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_logs.type_defs import InputLogEventTypeDef

INTERVAL = 0.1
"""Seconds over which lines are batched into one request."""
MAX_BATCH = 900_000
"""Bytes; PutLogEvents accepts 1,048,576, counting 26 for each event."""
MAX_EVENTS = 10_000
"""Events per PutLogEvents request."""
MAX_LINE = 250_000
"""Characters; CloudWatch Logs accepts 256 KB per event."""


class LogShipper:
    """Buffers log text and sends it in order, one event per line.

    Parameters
    ----------
    connect
        Creates the boto3 client; called in the shipper's thread when there is something to send.
    """

    def __init__(self, connect: Callable[[], CloudWatchLogsClient]) -> None:
        self._connect = connect
        self._buffer: deque[tuple[str, str, int, str]] = deque()
        self._streams: set[tuple[str, str]] = set()
        self._wake = threading.Event()
        self._sent = threading.Condition()
        self._pending = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-shipper", daemon=True)
        self._thread.start()

    def add(self, group: str, stream: str, text: str) -> None:
        """Queue `text`; returns at once."""
        with self._sent:
            self._pending += 1
        self._buffer.append((group, stream, int(time.time() * 1000), text))
        self._wake.set()

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything queued so far has been sent; return False after `timeout` seconds."""
        with self._sent:
            return self._sent.wait_for(lambda: self._pending == 0, timeout)

    def close(self, timeout: float = 2.0) -> None:
        """Send what is queued, for at most `timeout` seconds, and stop."""
        self.flush(timeout)
        self._closed = True
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if self._closed:
                return
            time.sleep(INTERVAL)
            # Before the buffer is read: what is added from now on wakes this thread again.
            self._wake.clear()
            taken = [self._buffer.popleft() for _ in range(len(self._buffer))]
            try:
                self._send(taken)
            # Whatever it is: without this thread, the buffer would grow forever.
            except Exception as failure:
                logging.getLogger(__name__).warning("Log lines were lost: %s", failure)
            with self._sent:
                self._pending -= len(taken)
                self._sent.notify_all()

    def _send(self, taken: list[tuple[str, str, int, str]]) -> None:
        client = self._connect()
        streams: dict[tuple[str, str], list[InputLogEventTypeDef]] = {}
        for group, stream, when, text in taken:
            events = streams.setdefault((group, stream), [])
            events += [{"timestamp": when, "message": line[:MAX_LINE]} for line in text.split("\n") if line.strip()]
        for (group, stream), events in streams.items():
            self._ensure(client, group, stream)
            for batch in batches(events):
                client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)

    def _ensure(self, client: CloudWatchLogsClient, group: str, stream: str) -> None:
        if (group, stream) in self._streams:
            return
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=group)
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        self._streams.add((group, stream))


def batches(events: list[InputLogEventTypeDef]) -> Iterator[list[InputLogEventTypeDef]]:
    """Split `events` into batches that fit one PutLogEvents request."""
    batch: list[InputLogEventTypeDef] = []
    size = 0
    for event in events:
        cost = len(event["message"].encode()) + 26
        if batch and (size + cost > MAX_BATCH or len(batch) == MAX_EVENTS):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += cost
    if batch:
        yield batch
