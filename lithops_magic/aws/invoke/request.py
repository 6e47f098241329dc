"""One Invoke request in progress, and the reply received so far."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from lithops_magic.aws.invoke.connect import InvokeTarget
from lithops_magic.aws.invoke.outcomes import Done
from lithops_magic.aws.invoke.thread_state import hold

if TYPE_CHECKING:
    from awscrt.http import HttpClientConnection, HttpClientStream, HttpRequest


MAX_REPLY_BYTES = 16_777_216
"""Maximum bytes kept of a reply: AWS's quota is slightly more than 6 MiB."""


Ended = Callable[["Exchange", int, BaseException | None], object]
"""Receives the result of an exchange: the status of a complete reply, or the error."""


class Exchange:
    """One request and the reply received so far."""

    __slots__ = (
        "body",
        "chunks",
        "connection",
        "deadline",
        "done",
        "ended",
        "generation",
        "headers",
        "path",
        "payload",
        "received",
        "repeated",
    )

    def __init__(self, payload: bytes, done: Done, path: str, ended: Ended) -> None:
        self.payload = payload
        self.done = done
        self.path = path
        self.ended = ended
        self.body: io.BytesIO | None = None
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.received = 0
        """Bytes received of the reply's body."""
        self.connection: HttpClientConnection | None = None
        self.deadline = 0.0
        self.generation = 0
        """Version of the credentials that signed it."""
        self.repeated = False
        """Whether it was resent after an attempt that certainly was not executed."""

    @property
    def sent(self) -> bool:
        """Whether all of it may have been sent; AWS does not execute truncated requests."""
        return self.body is not None and self.body.tell() >= len(self.payload)

    def on_response(self, http_stream: HttpClientStream, headers: list[tuple[str, str]], **_: object) -> None:
        """Store the headers."""
        hold(http_stream.connection)
        self.headers = {name.lower(): value for name, value in headers}

    def on_body(self, chunk: bytes, **_: object) -> None:
        """Store a chunk of the body."""
        self.received += len(chunk)
        if self.received <= MAX_REPLY_BYTES:
            self.chunks.append(chunk)
        elif self.connection is not None:
            self.connection.close()  # no function returns that much

    def watch(self, stream: HttpClientStream) -> None:
        """Subscribe to the end of the stream that carries it.

        awscrt creates a future per stream, a dozen objects each, which the garbage collector traverses again and again
        while thousands of requests wait. If awscrt allows it, the exchange takes the future's place.
        """
        with contextlib.suppress(AttributeError):
            stream._completion_future = self
        if stream.completion_future is not self:
            stream.completion_future.add_done_callback(self._completed)

    def _completed(self, completion: Future[int]) -> None:
        error = completion.exception()
        self.ended(self, completion.result() if error is None else 0, error)

    def set_result(self, status: int) -> None:
        """Handle a complete reply; awscrt calls this as it would on a future."""
        self.ended(self, status, None)

    def set_exception(self, error: BaseException) -> None:
        """Handle a failed request; awscrt calls this as it would on a future."""
        self.ended(self, 0, error)

    def request(self, target: InvokeTarget, headers: list[tuple[str, str]]) -> HttpRequest:
        """Build the request with its signed `headers`, and reset what was sent and received before."""
        from awscrt.http import HttpHeaders, HttpRequest

        # A stream of its own for each attempt: its position tells how much of the request was sent.
        self.body, self.chunks, self.received, self.headers = io.BytesIO(self.payload), [], 0, {}
        more = [("content-length", str(len(self.payload))), ("user-agent", target.user_agent)]
        return HttpRequest("POST", self.path, HttpHeaders(headers + more), self.body)
