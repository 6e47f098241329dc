"""A proxy on a real socket that makes chosen requests of a client fail and passes the others on."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ports import reserved_port

INVOKE = re.compile(rb"POST \S+/invocations ")
ANY = re.compile(rb"")

Play = Callable[["Passage"], Awaitable[None]]


@dataclass
class Rule:
    """Which requests fail, and how."""

    play: Play
    rate: float = 1.0
    """Probability of each request that matches."""
    most: float = float("inf")
    """Number of requests after which the rule no longer applies."""
    after: int = 0
    """Number of matching requests that are let through first."""
    match: re.Pattern[bytes] = INVOKE
    """Matches the request's first line."""
    matched: int = 0
    played: int = 0

    def strikes(self, head: bytes, chance: random.Random) -> bool:
        """Whether a request is to fail; counts it."""
        if not self.match.match(head):
            return False
        self.matched += 1
        struck = self.matched > self.after and self.played < self.most and chance.random() < self.rate
        self.played += struck
        return struck


class Passage:
    """One request on its way through the proxy."""

    def __init__(self, head: bytes, client: Stream, upstream: Callable[[], Awaitable[Stream]]) -> None:
        self.head = head
        self.client = client
        self._upstream = upstream
        self._whole: bytes | None = None
        self.executed: list[int] = []
        """Ids of the tasks that the endpoint was given."""
        self.delivered = False
        """Whether the client was sent the whole answer, and had not hung up before."""

    async def request(self) -> bytes:
        """Read the rest of the request and return all of it."""
        if self._whole is None:
            if header(self.head, b"expect"):
                self.head = re.sub(rb"(?i)\r\nexpect:[^\r]*", b"", self.head)
                await self.client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._whole = self.head + await self.client.read(int(header(self.head, b"content-length") or 0))
        return self._whole

    async def forward(self, altered: bytes = b"") -> bytes:
        """Have the request, or an altered one, executed, and return the whole answer."""
        request = altered or await self.request()
        upstream = await self._upstream()
        await upstream.send(request)
        if INVOKE.match(request):
            self.executed = [task["id"] for task in json.loads(request.partition(b"\r\n\r\n")[2])["tasks"]]
        return await upstream.message(bodiless=request.startswith(b"HEAD "))

    def finish(self) -> None:
        """Record that the whole answer was sent; a client that has hung up does not read it."""
        self.delivered = not self.client.reader.at_eof()

    async def hang(self) -> None:
        """Send nothing until the client gives up."""
        await self.client.reader.read(1)


@dataclass
class Stream:
    """Both directions of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read(self, size: int) -> bytes:
        return await self.reader.readexactly(size)

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def message(self, *, bodiless: bool) -> bytes:
        """Read one HTTP response as it stands."""
        head = await self.head()
        if bodiless or head.split(b" ")[1] in (b"204", b"304"):
            return head
        if header(head, b"transfer-encoding") == b"chunked":
            return head + b"".join([chunk async for chunk in self._chunks()])
        return head + await self.read(int(header(head, b"content-length") or 0))

    async def _chunks(self) -> AsyncIterator[bytes]:
        size = -1
        while size:
            line = await self.reader.readline()
            size = int(line, 16)
            yield line + await self.read(size + 2)

    def refused(self) -> bool:
        """Whether the other side answered with a reset, which it does to what it will not read."""
        connection = self.writer.get_extra_info("socket")
        return connection.fileno() < 0 or bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def close(self) -> None:
        """End it, after what was sent."""
        self.writer.close()

    def reset(self) -> None:
        """Send a TCP reset."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def header(head: bytes, name: bytes) -> bytes:
    """The value of a header in lower case; empty if there is none."""
    found = re.search(rb"(?i)\r\n" + name + rb":[ \t]*([^\r]*)", head)
    return found[1].lower() if found else b""


@dataclass
class FaultProxy:
    """The proxy's address, rules and what it has seen."""

    target: tuple[str, int]
    port: int
    rules: list[Rule] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    """Requests by what became of them: "passed", or the name of the fault."""
    lost: Counter[int] = field(default_factory=Counter)
    """How often each task was executed without the client's getting the answer."""
    connections: int = 0
    """Open now."""

    def __post_init__(self) -> None:
        self._random = random.Random(0)
        self._loop = asyncio.new_event_loop()
        self._clients: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self, *rules: Rule, seed: int = 0) -> None:
        """Forget everything and apply `rules`: to each request, the first that strikes."""
        self.rules, self.seen, self.lost, self._random = list(rules), Counter(), Counter(), random.Random(seed)

    def up(self) -> None:
        """Listen on the same port as before, unless it already does."""
        self._call(self._up())

    def down(self) -> None:
        """Stop listening, and break all connections."""
        self._call(self._down())

    def start(self) -> None:
        self._thread.start()
        self.up()

    def close(self) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _up(self) -> None:
        if self._listener is not None:
            return
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=2048)

    async def _down(self) -> None:
        if self._listener is not None:
            # A forked process may have inherited the socket: closed here alone, it would still accept connections.
            for listening in self._listener.sockets:
                listening.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._listener = None
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        self.connections += 1
        try:
            await self._serve(Stream(reader, writer))
        finally:
            self.connections -= 1
            self._clients.discard(task)

    async def _serve(self, client: Stream) -> None:
        upstream: Stream | None = None
        passage: Passage | None = None

        async def connected() -> Stream:
            nonlocal upstream
            upstream = upstream or Stream(*await asyncio.open_connection(*self.target))
            return upstream

        # A broken connection, on either side, breaks the other: what the client makes of that is what is tested.
        try:
            while not client.writer.transport.is_closing():
                head = await client.head()
                passage = Passage(head, client, connected)
                await self._pass(passage)
        except (OSError, asyncio.IncompleteReadError):
            if passage is not None and passage.delivered and client.refused():
                self.lost.update(passage.executed)
        except asyncio.CancelledError:
            pass
        finally:
            client.close()
            if upstream is not None:
                upstream.close()

    async def _pass(self, passage: Passage) -> None:
        rule = self._rule(passage.head)
        name = "passed" if rule is None else name_of(rule.play)
        self.seen[name] += 1
        try:
            await (deliver if rule is None else rule.play)(passage)
        finally:
            if not passage.delivered:
                self.lost.update(passage.executed)

    def _rule(self, head: bytes) -> Rule | None:
        return next((rule for rule in self.rules if rule.strikes(head, self._random)), None)


async def deliver(passage: Passage) -> None:
    """Let a request and its answer through."""
    await passage.client.send(await passage.forward())
    passage.finish()


def name_of(play: Play) -> str:
    """What a fault is called in `FaultProxy.seen` and in the tests' names."""
    return getattr(play, "__name__", "fault")


@contextmanager
def proxying(target: tuple[str, int]) -> Iterator[FaultProxy]:
    """Run a proxy to `target` in a thread; its port is reserved while it is down."""
    with reserved_port() as port:
        proxy = FaultProxy(target, port)
        proxy.start()
        try:
            yield proxy
        finally:
            proxy.close()
