"""Limits open connections to what the open-file limit allows: the longest-idle one is closed to make room."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol


def bounded(most: int) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, limited to `most` connections."""
    connections: dict[Any, None] = {}
    """Ordered by last use."""

    class Bounded(AutoHTTPProtocol):  # type: ignore[valid-type, misc]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(connections) >= most:
                idle = next((one for one in connections if one.cycle is not None and one.cycle.response_complete), self)
                connections.pop(idle, None)
                idle.transport.close()
                # None is idle: the new connection is refused.
                if idle is self:
                    return
            connections[self] = None

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self, None)
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            if self in connections:
                connections[self] = connections.pop(self)
            super().on_response_complete()

    return Bounded
