"""The hot path: a bounded pool of connections on awscrt's one event-loop thread, with one request on each.

`send` and `close` may be called from any thread. awscrt's thread reports connections, replies and broken requests; a
thread of ours watches deadlines. Both change the pool only with its lock held, and call `done` without it. Until
`close`, the `done` of every request is called exactly once, whatever breaks: with a reply, a broken connection, or an
expired deadline. After `close`, none is called.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from lithops_magic.aws.invoke import kept_connections
from lithops_magic.aws.invoke.connect import Dialer, InvokeTarget
from lithops_magic.aws.invoke.kept_connections import Connections
from lithops_magic.aws.invoke.outcomes import (
    Ambiguous,
    Done,
    Outcome,
    classify_failure,
    classify_response,
    has_expired,
    refusal,
)
from lithops_magic.aws.invoke.request import Exchange
from lithops_magic.aws.invoke.signing import Signer
from lithops_magic.aws.session import Cloud

if TYPE_CHECKING:
    from awscrt.http import HttpClientConnection

logger = logging.getLogger(__name__)

HANDSHAKES = 256
"""Connections opened in parallel: more would delay one another's TLS handshakes until these time out."""
OPENING_SECONDS = 45.0
"""Seconds for a connection to become ready: awscrt has no limit for a silent proxy, and reports a failed TLS handshake
only after 10 to 30 seconds, so that the timing tells an attacker nothing."""


class CrtTransport:
    """Sends requests to one function over at most `max_in_flight` connections.

    Parameters
    ----------
    cloud
        Account, endpoint and credentials.
    function_name
        The function to invoke.
    max_in_flight
        Maximum connections; further requests wait for one.
    answer_seconds
        How long a reply may take.
    asynchronous
        Whether a reply only acknowledges that AWS has queued the request.
    """

    def __init__(
        self,
        cloud: Cloud,
        function_name: str,
        max_in_flight: int,
        answer_seconds: float,
        *,
        asynchronous: bool = False,
    ) -> None:
        self._resolve = partial(InvokeTarget.resolve, cloud, asynchronous=asynchronous)
        self._target = self._resolve(function_name)
        self._signer = Signer(cloud, self._target, self._renewed)
        kept = kept_connections.take(self._target, max_in_flight) or Connections(Dialer(self._target), [])
        self._dialer: Dialer | None = kept.dialer
        self._most = max_in_flight
        self._answer_seconds = answer_seconds
        self._lock = threading.Lock()
        self._waiting: deque[Exchange] = deque()
        self._busy: dict[Exchange, None] = {}
        """In the order sent, which is also the order of their deadlines."""
        self._idle = kept.idle
        self._open = {*kept.idle}
        self._opening: dict[object, float] = {}
        """Connections being opened, with their deadlines."""
        self._ended = self._answered
        """One object for all uses: each new one is more work for the garbage collector."""
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None
        # At interpreter exit, connections break under waiting requests: these are not outcomes to report.
        atexit.register(self._closed.set)

    def send(self, payload: bytes, done: Done, path: str = "") -> None:
        """Start one request and return immediately; `done` is called once, from another thread.

        `path` is that of another function, invoked over the same connections.
        """
        with self._lock:
            if self._closed.is_set():
                return
            self._waiting.append(Exchange(payload, done, path or self._target.url.path, self._ended))
        # In the caller's thread, without a handover: an idle connection sends it at once.
        self._pump()
        if self._watch is None:
            self._start_watch()

    def _start_watch(self) -> None:
        """Start watching deadlines: only now, because the first request must not wait for a thread to start."""
        with self._lock:
            if self._watch is None and not self._closed.is_set():
                self._watch = threading.Thread(target=self._expire, name="lithops-magic-deadlines", daemon=True)
                self._watch.start()

    def beside(self, function_name: str) -> CopyTransport:
        """Return a way to invoke another function of the same account over the same connections."""
        return CopyTransport(self, self._resolve(function_name).url.path)

    def close(self) -> None:
        """Abandon everything and return immediately; `done` is no longer called."""
        with self._lock:
            self._closed.set()
            dialer, idle, used = self._dialer, [*self._idle], self._open.difference(self._idle)
            for held in (self._waiting, self._busy, self._idle, self._open, self._opening):
                held.clear()
            self._dialer = None
        atexit.unregister(self._closed.set)
        for connection in used:
            connection.close()
        if dialer is not None and idle:
            kept_connections.keep(self._target, Connections(dialer, idle))

    def _pump(self) -> None:
        """Assign idle connections to waiting requests, and open more if needed."""
        while self._waiting and self._signer.ready():
            with self._lock:
                # Looked at again under the lock: another thread may have taken the last request, and a connection taken
                # for nothing would be neither idle nor busy, and lost to the pool.
                connection = self._take_idle() if self._waiting else None
                if connection is None:
                    break
                exchange = self._waiting.popleft()
                exchange.connection, exchange.deadline = connection, time.monotonic() + self._answer_seconds
                self._busy[exchange] = None
            self._start(exchange)
        if not self._waiting:
            return
        with self._lock:
            missing = min(len(self._waiting), HANDSHAKES) - len(self._opening)
            room = self._most - len(self._open) - len(self._opening)
            attempts = [object() for _ in range(min(missing, room))]
            self._opening |= dict.fromkeys(attempts, time.monotonic() + OPENING_SECONDS)
            dialer = self._dialer
        if dialer is not None:
            for attempt in attempts:
                dialer.open().add_done_callback(partial(self._connected, attempt))

    def _take_idle(self) -> HttpClientConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open():
                return connection
            self._open.discard(connection)
        return None

    def _connected(self, attempt: object, opening: Future[HttpClientConnection]) -> None:
        error = opening.exception()
        failed: Exchange | None = None
        with self._lock:
            wanted = self._opening.pop(attempt, None) is not None
            if error is None and wanted:
                self._idle.append(opening.result())
                self._open.add(opening.result())
            elif wanted and self._waiting:
                failed = self._waiting.popleft()
        if error is None and not wanted:
            opening.result().close()
        if failed is not None and error is not None:
            self._finish(failed, classify_failure(error, self._target.address, sent=False))
        self._pump()

    def _start(self, exchange: Exchange) -> None:
        exchange.generation = self._signer.generation
        connection = exchange.connection
        assert connection is not None
        try:
            request = exchange.request(self._target, self._signer.sign(exchange.payload, exchange.path))
            stream = connection.request(request, exchange.on_response, exchange.on_body)
            exchange.watch(stream)
            stream.activate()
        except Exception as error:  # the connection was closed in the meantime
            self._broken(exchange, error)

    def _answered(self, exchange: Exchange, status: int, error: BaseException | None) -> None:
        if error is not None:
            self._broken(exchange, error)
        elif self._claim(exchange):
            connection = exchange.connection
            self._give_back(connection, trusted=self._complete(exchange, status))
        self._pump()

    def _complete(self, exchange: Exchange, status: int) -> bool:
        """Handle a complete reply; return whether its connection can be trusted with another request."""
        try:
            outcome = self._outcome(exchange, status)
        except Exception as error:  # a server can reply anything, but the exchange must end
            outcome = Ambiguous(f"{self._target.address} sent a reply that cannot be read: {error!r}")
        if outcome is None:
            self._repeat(exchange)
            return True
        return self._finish(exchange, outcome)

    def _outcome(self, exchange: Exchange, status: int) -> Outcome | None:
        """Classify a complete reply; None if the request is being resent with newer credentials."""
        body = b"".join(exchange.chunks)
        if status == 200 or exchange.repeated or not has_expired(status, exchange.headers, body):
            return classify_response(status, exchange.headers, body)
        if exchange.generation == self._signer.generation:
            self._signer.renew(afresh=True)
        return None

    def _broken(self, exchange: Exchange, error: BaseException) -> None:
        """Handle a connection that ended before the reply was complete."""
        if not self._claim(exchange):
            return
        self._give_back(exchange.connection, trusted=False)
        if exchange.sent or exchange.repeated:
            self._finish(exchange, classify_failure(error, self._target.address, sent=exchange.sent))
        else:
            self._repeat(exchange)

    def _claim(self, exchange: Exchange) -> bool:
        """Stop waiting for a reply; False if nothing was waiting for it anymore."""
        with self._lock:
            # All values are None, so that anything else, such as `self`, means "not there".
            return self._busy.pop(exchange, self) is None

    def _give_back(self, connection: HttpClientConnection | None, *, trusted: bool) -> None:
        """Keep a connection for the next request, or close it."""
        with self._lock:
            if connection is None or connection not in self._open:
                return
            if trusted and connection.is_open():
                self._idle.append(connection)
                return
            self._open.discard(connection)
        connection.close()

    def _repeat(self, exchange: Exchange) -> None:
        exchange.repeated, exchange.connection = True, None
        with self._lock:
            if not self._closed.is_set():
                # First in line: it has waited for its turn already.
                self._waiting.appendleft(exchange)

    def _renewed(self, failure: Exception | None) -> None:
        if failure is not None:
            with self._lock:
                refused = list(self._waiting)
                self._waiting.clear()
            for exchange in refused:
                self._finish(exchange, refusal(failure))
        self._pump()

    def _finish(self, exchange: Exchange, outcome: Outcome) -> bool:
        """Report the outcome of a request; return False if the reply is not authentic."""
        exchange.payload, exchange.connection = b"", None
        if self._closed.is_set():
            return True
        try:
            return exchange.done(outcome) is not False
        except Exception:
            logger.exception("The outcome of an invocation was not handled")
            return False

    def _expire(self) -> None:
        """End requests and connections past their deadlines, until the transport is closed."""
        while not self._closed.wait(self._patience()):
            try:
                self._end_overdue(time.monotonic())
            except Exception:
                logger.exception("Overdue invocations were not ended")

    def _end_overdue(self, now: float) -> None:
        with self._lock:
            attempts = [attempt for attempt, deadline in self._opening.items() if deadline <= now]
            for attempt in attempts:
                del self._opening[attempt]
            unconnected = [self._waiting.popleft() for _ in attempts if self._waiting]
            unanswered = [exchange for exchange in self._busy if exchange.deadline <= now]
            for exchange in unanswered:
                del self._busy[exchange]
        for exchange in unconnected:
            self._give_up(exchange, f"no connection within {OPENING_SECONDS:.0f} seconds")
        for exchange in unanswered:
            self._give_up(exchange, f"no answer within {self._answer_seconds:.0f} seconds")
        self._pump()

    def _patience(self) -> float:
        """Seconds until anything can be overdue: nothing that starts later can expire sooner."""
        with self._lock:
            deadlines = [exchange.deadline for exchange in itertools.islice(self._busy, 1)]
            deadlines += itertools.islice(self._opening.values(), 1)
        longest = min(self._answer_seconds, OPENING_SECONDS)
        return max(0.0, min([longest, *(deadline - time.monotonic() for deadline in deadlines)]))

    def _give_up(self, exchange: Exchange, text: str) -> None:
        self._give_back(exchange.connection, trusted=False)
        self._finish(exchange, classify_failure(TimeoutError(text), self._target.address, sent=exchange.sent))


class CopyTransport:
    """Invokes another function over a transport's connections; it is closed with the transport.

    Parameters
    ----------
    transport
        Owns the connections.
    path
        Path of the function.
    """

    def __init__(self, transport: CrtTransport, path: str) -> None:
        self._transport = transport
        self._path = path

    def send(self, payload: bytes, done: Done) -> None:
        """Start one request and return immediately; `done` is called once, from another thread."""
        self._transport.send(payload, done, self._path)

    def close(self) -> None:
        """Do nothing: the transport owns the connections."""
