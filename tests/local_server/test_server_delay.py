"""Replies do not wait for the acknowledgement of what was sent before them."""

from __future__ import annotations

import asyncio
import socket

import pytest

from lithops_magic.local.sandbox.runtime_api import RuntimeApi
from lithops_magic.local.server import _listen


def _delay(connection: socket.socket) -> int:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_front_sends_at_once() -> None:
    async def main() -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result(_delay(writer.get_extra_info("socket")))
            writer.close()

        listener = _listen(0)
        async with await asyncio.start_server(look, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            option = await asyncio.wait_for(accepted, 30)
            writer.close()
            await writer.wait_closed()
        return option

    assert asyncio.run(main()) != 0


def test_the_runtime_api_sends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        api = RuntimeApi()
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result(_delay(writer.get_extra_info("socket")))

        monkeypatch.setattr(api, "_serve", look)
        host, _, port = (await api.start()).partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        option = await asyncio.wait_for(accepted, 30)
        writer.close()
        await writer.wait_closed()
        api.close()
        return option

    assert asyncio.run(main()) != 0
