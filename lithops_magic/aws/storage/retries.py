"""Waits for S3 to recover: a task that ran need not rerun because its value could not be transferred immediately."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from lithops_magic.errors import AwsError

T = TypeVar("T")

SECONDS = 15.0
"""Seconds that S3 may be unreachable before a call fails."""
_FIRST_PAUSE, _MAX_PAUSE = 0.25, 3.0

TRANSIENT = frozenset(
    {
        "",  # a truncated reply
        "408",
        "429",
        "500",
        "502",
        "503",
        "504",
        "BadDigest",
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
        "EndpointConnectionError",
        "HTTPClientError",
        "IncompleteBody",
        "IncompleteReadError",
        "InternalError",
        "OperationAborted",
        "ReadTimeoutError",
        "RequestTimeout",
        "ResponseParserError",
        "ResponseStreamingError",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)
"""Transient error codes: AWS's, plain HTTP's, and names of botocore exceptions."""


def with_retries(call: Callable[[], T]) -> T:
    """Return the result of `call`, retrying while it fails for a transient reason.

    Raises
    ------
    AwsError
        It keeps failing, or fails for another reason.
    """
    deadline, pause = time.monotonic() + SECONDS, _FIRST_PAUSE
    while True:
        try:
            return call()
        except AwsError as error:
            if error.code not in TRANSIENT or time.monotonic() > deadline:
                raise
        # Jitter, or all threads that an outage has stopped would return at the same moment.
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(_MAX_PAUSE, pause * 2)
