"""Invoke: sends payloads to the deployed function and reports what became of each."""

from __future__ import annotations

import base64
import logging
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .explain import aws_errors
from .outcomes import Ambiguous, Outcome, Refused, Reply, Throttled, Unreachable, classify
from .report import parse_report
from .session import Cloud

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient
    from types_boto3_lambda.type_defs import InvocationResponseTypeDef

__all__ = [
    "Ambiguous",
    "Outcome",
    "Refused",
    "Reply",
    "Throttled",
    "Transport",
    "Unreachable",
    "boto_transport",
    "concurrency",
]

logger = logging.getLogger(__name__)

ANSWER_MARGIN = 15.0
"""Seconds beyond the function's timeout: 10 for its initialisation (Lambda's own limit), the rest for the way."""

Done = Callable[[Outcome], None]


class Transport(Protocol):
    """A way to invoke one function many times at once."""

    def send(self, payload: bytes, done: Done) -> None:
        """Start one request and return at once; `done` is called once, from another thread."""

    def close(self) -> None:
        """Abandon everything and return at once; `done` is not called any more."""


def boto_transport(cloud: Cloud, function_name: str, *, max_in_flight: int, timeout: float) -> Transport:
    """Return a transport of at most `max_in_flight` daemon threads over one boto3 client.

    Parameters
    ----------
    timeout
        The function's, in seconds: an answer may take that long.
    """
    from botocore.config import Config

    client = cloud.client(
        "lambda",
        Config(
            # botocore would repeat hopeless requests and run long tasks twice: the policy is the engine's.
            retries={"total_max_attempts": 1},
            connect_timeout=10,
            read_timeout=timeout + ANSWER_MARGIN,
            max_pool_connections=max_in_flight,
            tcp_keepalive=True,
        ),
    )
    return _BotoTransport(client, function_name, max_in_flight)


def concurrency(cloud: Cloud) -> int:
    """Return how many sandboxes the account may run at once in this region.

    Raises
    ------
    AwsError
        The call is not permitted.
    """
    with aws_errors():
        return cloud.client("lambda").get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]


class _BotoTransport:
    def __init__(self, client: LambdaClient, function_name: str, max_in_flight: int) -> None:
        self._client = client
        self._function_name = function_name
        self._max_threads = max_in_flight
        self._waiting: queue.SimpleQueue[tuple[bytes, Done] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._outstanding = 0
        """Requests accepted and not yet answered."""
        self._closed = threading.Event()

    def send(self, payload: bytes, done: Done) -> None:
        if self._closed.is_set():
            return
        with self._lock:
            self._outstanding += 1
            needs_thread = self._threads < min(self._outstanding, self._max_threads)
            self._threads += needs_thread
        self._waiting.put((payload, done))
        if needs_thread:
            # Daemon threads: a request under way never keeps the interpreter from ending.
            threading.Thread(target=self._work, name="lithops-magic-invoke", daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            threads, self._threads = self._threads, 0
        for _ in range(threads):
            self._waiting.put(None)

    def _work(self) -> None:
        while (request := self._waiting.get()) is not None and not self._closed.is_set():
            payload, done = request
            outcome = self._invoke(payload)
            if self._closed.is_set():
                return
            with self._lock:
                self._outstanding -= 1
            try:
                done(outcome)
            except Exception:
                logger.exception("The outcome of an invocation was not handled")

    def _invoke(self, payload: bytes) -> Outcome:
        try:
            response = self._client.invoke(FunctionName=self._function_name, Payload=payload, LogType="Tail")
            return _reply(response)
        except Exception as error:  # whatever goes wrong is this request's outcome
            return classify(error)


def _reply(response: InvocationResponseTypeDef) -> Reply:
    log_tail = base64.b64decode(response.get("LogResult", "")).decode("utf-8", "replace")
    return Reply(
        payload=response["Payload"].read(),
        function_error=response.get("FunctionError"),
        log_tail=log_tail,
        request_id=response["ResponseMetadata"]["RequestId"],
        report=parse_report(log_tail),
    )
