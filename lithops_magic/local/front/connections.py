"""Limits open connections to what the open-file limit allows: the longest-idle one is closed to make room."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol


def bounded(most: int) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, limited to `most` connections."""
    kept: dict[Any, None] = {}
    """Ordered by last use."""

    class Bounded(AutoHTTPProtocol):  # type: ignore[valid-type, misc]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(kept) >= most:
                idle = next((one for one in kept if one.cycle is not None and one.cycle.response_complete), self)
                kept.pop(idle, None)
                idle.transport.close()
                if idle is self:
                    return
            kept[self] = None

        def connection_lost(self, exc: Exception | None) -> None:
            kept.pop(self, None)
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            if self in kept:
                kept[self] = kept.pop(self)
            super().on_response_complete()

    return Bounded
