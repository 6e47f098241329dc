"""Proves at each new connection that the local AWS at its other end is this user's: its port may have a new owner.

The challenge is answered with a code made with the secret of that start, which itself is never sent. Nothing else
leaves through a connection before.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import time
from typing import Any
from urllib.parse import urlsplit

PATH = "/_local/health"
SECONDS = 10.0
"""That a living server may take to answer."""
IMPOSTOR = "what answers there is not this user's local AWS"
_MOST = 8_192
"""Bytes of the answer."""


class NotOurs(ConnectionError):
    """Another program listens there."""

    def __init__(self) -> None:
        super().__init__(IMPOSTOR)


class Challenge:
    """A question that only the local AWS of this start can answer.

    Parameters
    ----------
    secret
        Of the credentials that it gave out.
    """

    def __init__(self, secret: str) -> None:
        nonce = secrets.token_hex(16)
        self.headers = {"x-local-nonce": nonce, "content-length": "0"}
        self._proof = hmac.digest(secret.encode(), nonce.encode(), "sha256").hex()

    def is_met(self, proof: str) -> bool:
        """Whether the header ``x-local-proof`` of the answer is right."""
        return proof.isascii() and hmac.compare_digest(proof, self._proof)


def prove(connection: socket.socket, secret: str) -> dict[str, str]:
    """Have the other end of a new connection prove itself, and return the headers of its answer.

    Raises
    ------
    OSError
        It does not.
    """
    challenge = Challenge(secret)
    headers = "".join(f"{name}: {value}\r\n" for name, value in challenge.headers.items())
    before = connection.gettimeout()
    connection.sendall(f"GET {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n".encode())
    fields = _answer(connection)
    if not challenge.is_met(fields.get("x-local-proof", "")):
        raise NotOurs
    connection.settimeout(before)
    return fields


def answers(url: str, secret: str) -> bool:
    """Whether the local AWS answers at that address."""
    return _told(url, secret) is not None


def shares_cpu(url: str, secret: str) -> bool:
    """Whether the local AWS at that address gives CPU in proportion to memory."""
    return (_told(url, secret) or {}).get("x-local-cpu") == "by memory"


def _told(url: str, secret: str) -> dict[str, str] | None:
    """Return the headers with which it proves itself; None if it does not."""
    try:
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), SECONDS) as connection:
            return prove(connection, secret)
    except OSError:
        return None


def guard(client: Any, secret: str) -> None:
    """Have every new connection of a boto3 client prove itself before it is used."""
    from botocore.awsrequest import AWSHTTPConnection, AWSHTTPConnectionPool
    from urllib3.exceptions import NewConnectionError

    class Connection(AWSHTTPConnection):
        def connect(self) -> None:
            super().connect()
            try:
                prove(self.sock, secret)
            except OSError as error:
                self.close()
                raise NewConnectionError(self, str(error)) from error

    class Pool(AWSHTTPConnectionPool):
        ConnectionCls = Connection

    # botocore has no public name for the session that its client sends with.
    client._endpoint.http_session._manager.pool_classes_by_scheme = {"http": Pool}


def _answer(connection: socket.socket) -> dict[str, str]:
    """Read an answer to its end, and return its headers."""
    deadline = time.monotonic() + SECONDS
    answer = b""
    while (fields := _fields(answer)) is None:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        piece = connection.recv(_MOST)
        answer += piece
        if not piece or len(answer) > _MOST:
            raise NotOurs
    return fields


def _fields(answer: bytes) -> dict[str, str] | None:
    """Return the headers of an answer; None until all of it is there."""
    head, end, body = answer.partition(b"\r\n\r\n")
    lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:]]
    fields = {name.strip().lower(): value.strip() for name, _, value in lines}
    length = fields.get("content-length", "0")
    return fields if end and length.isdecimal() and len(body) >= int(length[:9]) else None
