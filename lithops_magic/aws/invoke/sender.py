"""Invoke: sends payloads to the deployed function and reports what became of each."""

from __future__ import annotations

from typing import Protocol

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.invoke.connect import allow_sockets
from lithops_magic.aws.invoke.outcomes import Ambiguous, Done, NoConnection, Outcome, Refused, Reply, Throttle
from lithops_magic.aws.session import Cloud
from lithops_magic.errors import AwsError

__all__ = [
    "Ambiguous",
    "Done",
    "NoConnection",
    "Outcome",
    "Refused",
    "Reply",
    "Throttle",
    "Transport",
    "allow_sockets",
    "concurrency",
    "open_transport",
]

ANSWER_MARGIN = 15.0
"""Seconds beyond the function's timeout: 10 for its initialization (Lambda's own limit), the rest for the way."""


class Way(Protocol):
    """A way to invoke one function many times at once."""

    def send(self, payload: bytes, done: Done) -> None:
        """Start one request and return at once; `done` is called once, from another thread.

        It returns False for an answer that is somebody else's: the connection that brought it is closed.
        """

    def close(self) -> None:
        """Abandon everything and return at once; `done` is not called any more."""


class Transport(Way, Protocol):
    """A way that owns its connections."""

    def beside(self, function_name: str) -> Way:
        """Return a way to invoke another function of the same account over the same connections."""


def open_transport(
    cloud: Cloud, function_name: str, *, max_in_flight: int, timeout: float, asynchronous: bool = False
) -> Transport:
    """Return a transport of at most `max_in_flight` connections.

    Parameters
    ----------
    timeout
        The function's, in seconds: an answer may take that long.
    asynchronous
        Whether AWS only takes each request, which must be smaller then, and runs it later.

    Raises
    ------
    LithopsMagicError
        There are no credentials, or no endpoint.
    """
    from lithops_magic.aws.invoke.transport import CrtTransport

    return CrtTransport(cloud, function_name, max_in_flight, timeout + ANSWER_MARGIN, asynchronous=asynchronous)


NO_SUCH_CALL = frozenset(
    {
        *("404", "405", "501", "NotImplemented", "NotImplementedException", "UnknownOperationException"),
        *("InvalidAction", "NotAws"),
    }
)
"""Codes with which servers that are not AWS refuse a call that they do not have."""


def concurrency(cloud: Cloud) -> int | None:
    """Return how many sandboxes the account may run at once in this region; None where an endpoint does not tell.

    Raises
    ------
    AwsError
        The call is not permitted.
    """
    try:
        with aws_errors():
            return cloud.client("lambda").get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    except AwsError as error:
        # Only AWS itself is sure to have this call.
        if cloud.endpoint_url is None or cloud.is_local or error.code not in NO_SUCH_CALL:
            raise
        return None
