"""A server on a real socket that answers as a test wants, a proxy that tunnels, and a certificate authority."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OK = b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: r1\r\nContent-Length: 2\r\n\r\n{}"

Serve = Callable[["Connection"], Awaitable[None]]


@dataclass
class Connection:
    """One connection as the server sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[bytes]
    """Heads of all requests of the server so far."""

    async def request(self) -> bytes:
        """Read a whole request and return its head."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
        await self.reader.readexactly(length)
        self.requests.append(head)
        return head

    async def answer(self, data: bytes) -> None:
        """Send `data`."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Send a TCP reset."""
        self.writer.transport.abort()


@dataclass
class Server:
    """A running server and what it has seen."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    """Accepted so far."""
    open: int = 0
    """Not closed yet by either side."""


@contextmanager
def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run `serve` on every connection, in a thread of its own."""
    server = Server(0)
    ready = threading.Event()
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        server.open += 1
        try:
            await serve(Connection(reader, writer, server.requests))
            writer.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            server.open -= 1

    async def main() -> None:
        nonlocal loop, stop
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        handled: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handled.append((asyncio.create_task(handle(reader, writer)), writer))

        listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls, backlog=2048)
        server.port = listener.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        listener.close()
        # Also connections that are not handled yet, and those whose clients do not read.
        for handling, writer in handled:
            handling.cancel()
            writer.transport.abort()
        await asyncio.sleep(0)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def tunnel(connection: Connection) -> None:
    """Behave as a CONNECT proxy, or as a forwarding one for plain HTTP."""
    head = await connection.reader.readuntil(b"\r\n\r\n")
    connection.requests.append(head)
    method, address = head.split()[:2]
    if method == b"CONNECT":
        host, _, port = address.decode().partition(":")
    else:
        host, _, port = address.decode().removeprefix("http://").partition("/")[0].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        if method == b"CONNECT":
            await connection.answer(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            writer.write(head)
        await asyncio.gather(_copy(connection.reader, writer), _copy(reader, connection.writer))
    finally:
        writer.transport.abort()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()


def make_authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Create a certificate authority; return its file and what a server on 127.0.0.1 needs."""
    key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("Test authority", "Test authority", key, key)
    certificate = _certificate("127.0.0.1", "Test authority", server_key, key)
    pem = serialization.Encoding.PEM
    private = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(certificate.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return folder / "ca.pem", context


def _certificate(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, signing_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(subject == issuer, None), critical=True)
    )
    if subject != issuer:
        address = x509.IPAddress(ipaddress.ip_address(subject))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(signing_key, hashes.SHA256())
