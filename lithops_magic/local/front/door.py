"""The one HTTP entrance: checks signatures, counts requests, and routes each to our Lambda service or to moto."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from lithops_magic.local.front.credentials import Credential, Identity, Keyring, Refused, Signed
from lithops_magic.local.front.error_replies import error, protocol_of, refusal
from lithops_magic.local.front.operation_names import counted_name
from lithops_magic.local.front.presigned_v2 import host_bucket
from lithops_magic.local.front.sigv4 import check_head, claimed_service, verify
from lithops_magic.local.model import Request, Response
from lithops_magic.local.resources import explain

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HASHED_INLINE = 64 * 1024
"""Bytes of body up to which the signature is checked on the event loop; longer ones are hashed in a thread."""


class LambdaApi(Protocol):
    async def handle(self, request: Request) -> Response: ...

    async def download(self, token: str) -> Response: ...


class Activity:
    """How long the server has been idle."""

    def __init__(self) -> None:
        self._open = 0
        self._last = time.monotonic()

    def __enter__(self) -> None:
        self._open += 1

    def __exit__(self, *_: object) -> None:
        self._open -= 1
        self._last = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        return 0.0 if self._open else time.monotonic() - self._last


class Front:
    """The ASGI application.

    Parameters
    ----------
    owner : Credential
        The user's credential; its secret also opens `/_local/requests`, `/_local/traffic` and `/_local/shutdown`.
    region : str
        The only region that has functions.
    stop : callable
        Called when the owner asks the server to stop.
    cpu_share : bool
        Whether sandboxes get CPU in proportion to their memory; reported to clients.
    """

    def __init__(
        self,
        *,
        keyring: Keyring,
        owner: Credential,
        region: str,
        functions: LambdaApi,
        moto: App,
        stop: Callable[[], None],
        cpu_share: bool = False,
    ) -> None:
        self.activity = Activity()
        self.requests: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        """Bytes of request bodies, in total and by operation."""
        self.sent: Counter[str] = Counter()
        self._keyring = keyring
        self._owner = owner
        self._region = region
        self._functions = functions
        self._moto = moto
        self._stop = stop
        self._cpu = "by memory" if cpu_share else "all"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["raw_path"].decode("latin-1")
        # Not counted as activity: clients that only look for the server must not keep it running.
        if path == "/_local/health":
            await _reply(send, self._health(scope))
            return
        with self.activity:
            if path.startswith("/_local/"):
                await _reply(send, await self._local(path, scope))
            else:
                await self._aws(path, scope, receive, send)

    def _health(self, scope: Scope) -> Response:
        """Prove knowledge of the secret, so that a client can tell this server from a new owner of the port."""
        nonce = dict(scope["headers"]).get(b"x-local-nonce", b"")
        proof = hmac.digest(self._owner.secret_access_key.encode(), nonce, "sha256").hex()
        headers = {"content-type": "application/json", "x-local-proof": proof, "x-local-cpu": self._cpu}
        return Response(200, b'{"ok": true}', headers)

    async def _local(self, path: str, scope: Scope) -> Response:
        if path.startswith("/_local/download/"):
            return await self._functions.download(path.removeprefix("/_local/download/"))
        given = dict(scope["headers"]).get(b"x-local-secret", b"")
        if not hmac.compare_digest(given, self._owner.secret_access_key.encode()):
            return error(
                "json",
                403,
                "AccessDeniedException",
                "This request needs the local AWS's secret in the x-local-secret header.",
            )
        if (scope["method"], path) == ("GET", "/_local/requests"):
            return Response(200, json.dumps(self.requests).encode(), {"content-type": "application/json"})
        if (scope["method"], path) == ("GET", "/_local/traffic"):
            traffic = {"received": self.received, "sent": self.sent}
            return Response(200, json.dumps(traffic).encode(), {"content-type": "application/json"})
        if (scope["method"], path) == ("POST", "/_local/shutdown"):
            self._stop()
            return Response(200, b'{"ok": true}', {"content-type": "application/json"})
        return error("json", 404, "ResourceNotFoundException", f"There is no {path} here.")

    async def _aws(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        request, signed = _request(path, scope, body), _signed(path, scope, body)
        if not _is_address(signed.url):
            await _reply(
                send, error("json", 400, "InvalidRequest", "The Host header or the path is not a valid address.")
            )
            return
        try:
            # Before its body is read: an unauthenticated sender must not be able to fill this process's memory.
            check_head(self._keyring, signed)
            body = await _read(receive)
            request, signed = _request(path, scope, body), _signed(path, scope, body)
            identity = await self._verify(signed)
        except Refused as refused:
            await _reply(send, refusal(refused.reason, request, claimed_service(signed)))
            return
        request = _path_style(request)
        if not identity.credential.internal:
            send = self._counting(counted_name(identity.service, request), request, send)
        if identity.service == "lambda":
            await _reply(send, await self._lambda(request, identity.region))
        else:
            await self._to_moto(identity, request, scope, send)

    def _counting(self, name: str, request: Request, send: Send) -> Send:
        """Count a request and the bytes of its response as they are sent."""
        self.requests[name] += 1
        self.received[name] += len(request.body)

        async def counting(message: Message) -> None:
            self.sent[name] += len(message.get("body", b""))
            await send(message)

        return counting

    async def _verify(self, signed: Signed) -> Identity:
        if len(signed.body) <= HASHED_INLINE:
            return verify(self._keyring, signed)
        return await asyncio.to_thread(verify, self._keyring, signed)

    async def _lambda(self, request: Request, region: str) -> Response:
        if region != self._region:
            text = f"The local AWS has Lambda in {self._region} only, but the request is signed for {region}."
            return error("rest-json", 400, "InvalidSignatureException", text)
        return await self._functions.handle(request)

    async def _to_moto(self, identity: Identity, request: Request, scope: Scope, send: Send) -> None:
        # Keys that moto issues have to be accepted from their first use on.
        issues_keys = identity.service in ("sts", "iam")
        issued = bytearray()
        started = False

        async def tee(message: Message) -> None:
            nonlocal started
            started = True
            if issues_keys:
                issued.extend(message.get("body", b""))
                if not message.get("more_body", False) and message["type"] == "http.response.body":
                    self._keyring.accept_issued(issued.decode("utf-8", "replace"))
            await send(message)

        try:
            await self._moto(_for_moto(scope, request, identity), _replay(request.body), tee)
        except Exception as failure:
            # Too late for an error response: the server cuts the connection instead.
            if started:
                raise
            await _reply(send, _unsupported(request, identity.service, failure))


def _unsupported(request: Request, service: str, failure: Exception) -> Response:
    protocol = protocol_of(request, service)
    if isinstance(failure, NotImplementedError | ImportError):
        return error(protocol, 501, "NotImplemented", f"The local AWS does not support this operation of {service}.")
    logging.getLogger(__name__).error("moto failed", exc_info=failure)
    reason = explain(failure) if isinstance(failure, OSError) else type(failure).__name__
    return error(protocol, 500, "InternalFailure", f"The local AWS failed in {service}: {reason}")


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _headers(scope: Scope) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])


def _request(path: str, scope: Scope, body: bytes) -> Request:
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return Request(
        method=scope["method"],
        path=path,
        query={name: tuple(values) for name, values in query.items()},
        headers=dict(_headers(scope)),
        body=body,
    )


def _is_address(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True


def _signed(path: str, scope: Scope, body: bytes) -> Signed:
    headers = _headers(scope)
    host = dict(headers).get("host", "")
    query = scope["query_string"].decode("latin-1")
    return Signed(scope["method"], f"http://{host}{path}" + (f"?{query}" if query else ""), headers, body)


def _path_style(request: Request) -> Request:
    """Move a bucket named in the host into the path, where moto and the operation's route expect it."""
    bucket = host_bucket(request.headers.get("host", ""))
    if bucket is None:
        return request
    headers = {**request.headers, "host": "127.0.0.1"}
    return Request(request.method, f"/{bucket}{request.path}", request.query, headers, request.body)


def _for_moto(scope: Scope, request: Request, identity: Identity) -> Scope:
    """Name the service and bucket in the headers: moto does not find them in a presigned URL."""
    headers = [
        (name, request.headers["host"].encode("latin-1") if name == b"host" else value)
        for name, value in scope["headers"]
    ]
    if "authorization" not in request.headers:
        credential = f"{identity.credential.access_key_id}/20000101/{identity.region}/{identity.service}/aws4_request"
        headers.append((b"authorization", f"AWS4-HMAC-SHA256 Credential={credential}, ".encode()))
    return {**scope, "path": unquote(request.path), "raw_path": request.path.encode("latin-1"), "headers": headers}


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _reply(send: Send, response: Response) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    # Responses with these statuses have no body, and RFC 9110 forbids a content length with 204.
    if response.status not in (204, 304):
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
