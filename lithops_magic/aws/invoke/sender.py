"""Invoke: sends payloads to the deployed function and reports each outcome."""

from __future__ import annotations

from typing import Protocol

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.invoke import kept_connections
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
    "is_there",
    "open_transport",
]

ANSWER_MARGIN = 15.0
"""Seconds added to the function's timeout: 10 for initialization (Lambda's limit), the rest for the network."""


class Way(Protocol):
    """Invokes one function many times concurrently."""

    def send(self, payload: bytes, done: Done) -> None:
        """Start one request and return immediately; `done` is called once, from another thread.

        `done` returns False if the reply is not authentic: its connection is then closed.
        """

    def close(self) -> None:
        """Abandon everything and return immediately; `done` is no longer called."""


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
        The function's timeout in seconds: a reply may take that long.
    asynchronous
        Whether AWS only queues requests, which then have a lower size limit, and runs them later.

    Raises
    ------
    LithopsMagicError
        There are no credentials, or there is no endpoint.
    """
    from lithops_magic.aws.invoke.transport import CrtTransport

    return CrtTransport(cloud, function_name, max_in_flight, timeout + ANSWER_MARGIN, asynchronous=asynchronous)


def is_there(cloud: Cloud) -> bool:
    """Whether the local AWS is still there, which a connection to it that is still open proves; AWS always is."""
    return kept_connections.reaches_local(cloud.local_secret()) or cloud.is_there()


NO_SUCH_CALL = frozenset(
    {
        *("404", "405", "501", "NotImplemented", "NotImplementedException", "UnknownOperationException"),
        *("InvalidAction", "NotAws"),
    }
)
"""Error codes of servers other than AWS for a call they do not implement."""


def concurrency(cloud: Cloud) -> int | None:
    """Return how many concurrent sandboxes the account allows in this region; None if the endpoint does not tell.

    Raises
    ------
    AwsError
        The call is not permitted.
    """
    try:
        with aws_errors():
            return cloud.client("lambda").get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    except AwsError as error:
        # Only AWS is certain to implement this call.
        if cloud.endpoint_url is None or cloud.is_local or error.code not in NO_SUCH_CALL:
            raise
        return None
