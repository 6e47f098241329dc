"""Waiting for S3 to come back: a task that ran need not run again because its value could not be moved at once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from lithops_magic.errors import AwsError

T = TypeVar("T")

SECONDS = 15.0
"""How long S3 may be out of reach before a call fails."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 3.0

TRANSIENT = frozenset(
    {
        "",  # an answer that was cut off
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
"""Codes of errors that time may heal: AWS's, plain HTTP's, and names of botocore's exceptions."""


def patiently(call: Callable[[], T]) -> T:
    """Return what `call` returns, called again while it fails for a reason that may pass.

    Raises
    ------
    AwsError
        It goes on failing, or would.
    """
    deadline, pause = time.monotonic() + SECONDS, _FIRST_PAUSE
    while True:
        try:
            return call()
        except AwsError as error:
            if error.code not in TRANSIENT or time.monotonic() > deadline:
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(_LONGEST_PAUSE, pause * 2)
