"""Proves on each new connection that the local AWS on the other end is this user's: another program may have its port.

The server answers a challenge with a code computed from the secret of its current start, which itself is never sent.
Nothing else is sent on a connection before that.
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
"""Seconds that a live server may take to answer."""
IMPOSTOR = "what answers there is not this user's local AWS"
_MAX_BYTES = 8_192
"""Maximum bytes of the answer."""


class NotOurs(ConnectionError):
    """Another program listens on the port."""

    def __init__(self) -> None:
        super().__init__(IMPOSTOR)


class Challenge:
    """A question that only the local AWS with this start's secret can answer.

    Parameters
    ----------
    secret
        The secret part of the credentials that it issued.
    """

    def __init__(self, secret: str) -> None:
        nonce = secrets.token_hex(16)
        self.headers = {"x-local-nonce": nonce, "content-length": "0"}
        self._proof = hmac.digest(secret.encode(), nonce.encode(), "sha256").hex()

    def is_met(self, proof: str) -> bool:
        """Whether the answer's header ``x-local-proof`` is right."""
        return proof.isascii() and hmac.compare_digest(proof, self._proof)


def prove(connection: socket.socket, secret: str) -> dict[str, str]:
    """Make the other end of a new connection authenticate itself, and return the headers of its answer.

    Raises
    ------
    OSError
        It fails to.
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
    return _proof_headers(url, secret) is not None


def shares_cpu(url: str, secret: str) -> bool:
    """Whether the local AWS at that address provides CPU in proportion to memory."""
    return (_proof_headers(url, secret) or {}).get("x-local-cpu") == "by memory"


def _proof_headers(url: str, secret: str) -> dict[str, str] | None:
    """Return the headers of its proof; None if it fails to give one."""
    try:
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), SECONDS) as connection:
            return prove(connection, secret)
    except OSError:
        return None


def guard(client: Any, secret: str) -> None:
    """Make every new connection of a boto3 client authenticate the server before use."""
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

    # botocore has no public API for the session that its client sends with.
    client._endpoint.http_session._manager.pool_classes_by_scheme = {"http": Pool}


def _answer(connection: socket.socket) -> dict[str, str]:
    """Read an answer to its end, and return its headers."""
    deadline = time.monotonic() + SECONDS
    answer = b""
    while (fields := _fields(answer)) is None:
        # A limit for the whole answer: an impostor could send one byte at a time. Zero would mean non-blocking.
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        piece = connection.recv(_MAX_BYTES)
        answer += piece
        if not piece or len(answer) > _MAX_BYTES:
            raise NotOurs
    return fields


def _fields(answer: bytes) -> dict[str, str] | None:
    """Return the headers of an answer; None while it is incomplete."""
    head, end, body = answer.partition(b"\r\n\r\n")
    lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:]]
    fields = {name.strip().lower(): value.strip() for name, _, value in lines}
    # Only nine digits, because an impostor could send more than `int` accepts.
    length = fields.get("content-length", "0")
    return fields if end and length.isdecimal() and len(body) >= int(length[:9]) else None
