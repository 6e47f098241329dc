"""The Lambda Runtime API of one sandbox process, on its own port: hands out events and receives replies."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from lithops_magic.local.peer import is_own_user

PREFIX = "/2018-06-01/runtime/"
MAX_REPLY = 6 * 1024 * 1024 + 100
"""Bytes of a reply; recorded from AWS."""
MAX_HEAD = 2 << 20
"""Bytes; awslambdaric sends the description of an error, up to 1 MB, in a header."""
TOO_LARGE = (
    b'{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}'
)
ACCEPTED = b'{"status":"OK"}\n'


@dataclass(frozen=True, slots=True)
class Reply:
    """What the runtime posted for an invocation; `payload` is None if it exceeded the limit."""

    payload: bytes | None
    failed: bool


@dataclass(slots=True)
class Call:
    """One invocation on its way through a sandbox."""

    request_id: str
    payload: bytes
    invoked_arn: str
    client_context: str | None
    depth: int = 0
    """How many functions wait for it, each for the next."""
    deadline: float = 0.0
    """Seconds since the epoch."""
    delivered: bool = False
    reply: asyncio.Future[Reply] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class RuntimeApi:
    """Serves one process of a sandbox; each new process gets a new one.

    Attributes
    ----------
    ready
        Done when the runtime asks for its first event (True) or posts an init error (its JSON).
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[bytes | None] = loop.create_future()
        self._offered: asyncio.Future[Call] = loop.create_future()
        self._current: Call | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen on a free port and return `host:port`."""
        # A port for each process, not a path on a shared one: awslambdaric ignores a path when it posts an init error.
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=MAX_HEAD)
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    def offer(self, call: Call) -> None:
        """Hand `call` to the runtime as soon as it asks for an event."""
        self._offered.set_result(call)

    def close(self) -> None:
        if self._server:
            self._server.close()
        self._offered.cancel()
        for writer in self._connections:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            # On a shared machine, another user could otherwise take events or forge replies.
            if is_own_user(writer.get_extra_info("socket")):
                await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            # The process has exited, or `close` canceled its pending request.
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ", 2)
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            # libcurl, in awslambdaric's compiled client, asks before it sends a large body, and waits a second for the
            # answer.
            if headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await read_body(reader, int(headers.get("content-length", 0)))
            writer.write(await self._answer(method, path.removeprefix(PREFIX), body))

    async def _answer(self, method: str, path: str, body: bytes | None) -> bytes:
        match method, path.split("/"):
            case "GET", ["invocation", "next"]:
                return await self._next()
            case "POST", ["invocation", request_id, ("response" | "error") as kind]:
                return self._take(request_id, Reply(body, kind == "error"))
            case "POST", ["init", "error"]:
                if not self.ready.done():
                    self.ready.set_result(body)
                return answer(202, ACCEPTED)
        return answer(404, b"")

    async def _next(self) -> bytes:
        if not self.ready.done():
            self.ready.set_result(None)
        self._current = call = await self._offered
        self._offered = asyncio.get_running_loop().create_future()
        call.delivered = True
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": call.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(call.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": call.invoked_arn,
            "Lambda-Runtime-Trace-Id": trace_id(call.depth),
        }
        if call.client_context:
            headers["Lambda-Runtime-Client-Context"] = call.client_context
        return answer(200, call.payload, headers)

    def _take(self, request_id: str, reply: Reply) -> bytes:
        call = self._current
        if call is None or call.request_id != request_id or call.reply.done():
            return answer(400, b'{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}')
        call.reply.set_result(reply)
        return answer(413, TOO_LARGE) if reply.payload is None else answer(202, ACCEPTED)


async def read_body(reader: asyncio.StreamReader, size: int) -> bytes | None:
    """Return the body, or None after discarding one that is over the limit."""
    if size <= MAX_REPLY:
        return await reader.readexactly(size)
    while size > 0:
        size -= len(await reader.readexactly(min(size, 1 << 20)))
    return None


def answer(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"HTTP/1.1 {status} .\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body


def trace_id(depth: int) -> str:
    """Return the trace header that AWS's SDKs send along with a function's own requests."""
    root = f"1-{int(time.time()):x}-{os.urandom(12).hex()}"
    return f"Root={root};Parent={os.urandom(8).hex()};Sampled=0;Lineage=1:{os.urandom(4).hex()}:{depth}"
