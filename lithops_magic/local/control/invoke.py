"""The Invoke operation: checks an invocation as Lambda does, runs or queues it, and words the answer."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from lithops_magic.local.control import chain
from lithops_magic.local.control.event_queue import EventQueue
from lithops_magic.local.control.protocol import strict_json
from lithops_magic.local.model import Request, Response, RunnableVersion, ServiceError
from lithops_magic.local.sandbox.runtime import Invoked, Runtime

MAX_REQUEST = {"RequestResponse": 6 * 1024 * 1024, "Event": 1024 * 1024}
"""Bytes of payload by invocation type, from AWS's quotas; "Event" was 256 KB before October 2025."""
MAX_CLIENT_CONTEXT = 3583
"""Bytes of the base64 text, from botocore's model."""
LOG_TAIL = 4096
"""Bytes of log that `LogType=Tail` returns."""


class FunctionResolver(Protocol):
    """The part of the registry that Invoke needs."""

    def resolve(self, name_or_arn: str, qualifier: str | None = None) -> RunnableVersion: ...

    def reserved_concurrency(self, name: str) -> int | None: ...

    def event_invoke(self, name: str, qualifier: str | None = None) -> tuple[int, int]: ...

    def recursive_loop(self, name: str) -> str: ...


class ConcurrencyCounter:
    """Counts concurrent executions, for the account and for each function."""

    def __init__(self, functions: FunctionResolver, limit: int) -> None:
        self._functions = functions
        self._limit = limit
        self._running: Counter[str] = Counter()
        self._counted = 0
        """Executions that count against the account's limit."""

    @contextmanager
    def slot(self, name: str, *, waited_for: bool = False) -> Iterator[None]:
        """Hold one concurrent execution.

        An invocation that a function waits for takes none of the account's: there are only as many as sandboxes, and
        the caller would wait for its own slot.

        Raises
        ------
        ServiceError
            TooManyRequestsException when the function's or the account's limit is reached.
        """
        reserved = self._functions.reserved_concurrency(name)
        if reserved is not None and self._running[name] >= reserved:
            raise throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
        if not waited_for and self._counted >= self._limit:
            raise throttled("ConcurrentInvocationLimitExceeded")
        self._running[name] += 1
        self._counted += not waited_for
        try:
            yield
        finally:
            self._running[name] -= 1
            self._counted -= not waited_for


class Invoker:
    """Answers Invoke.

    Parameters
    ----------
    concurrency
        Concurrent executions of the account.
    retry_delays
        Seconds before each retry of a failed asynchronous invocation.
    """

    def __init__(
        self,
        registry: FunctionResolver,
        runtime: Runtime,
        *,
        concurrency: int,
        retry_delays: tuple[float, ...],
    ) -> None:
        self._functions = registry
        self._runtime = runtime
        self._concurrency = ConcurrencyCounter(registry, concurrency)
        self._events = EventQueue(self._run, registry.event_invoke, retry_delays)

    async def invoke(self, request: Request, params: Mapping[str, Any]) -> Response:
        """Answer one request whose parameters botocore's model has parsed.

        Raises
        ------
        ServiceError
            As Lambda words it.
        """
        kind = params.get("InvocationType") or "RequestResponse"
        name, qualifier = params["FunctionName"], params.get("Qualifier")
        # Resolved again by `_run`: a queued event runs what is there when its turn comes.
        version = self._functions.resolve(name, qualifier)
        headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Content-Type": "application/json"}
        if kind == "DryRun":
            return Response(204, headers={**headers, "X-Amz-Executed-Version": version.version})
        payload = checked_payload(request.body, kind)
        context = checked_client_context(params.get("ClientContext"))
        request_id = headers["x-amzn-RequestId"]
        if kind == "Event":
            self._events.put(name, qualifier, payload, request_id)
            return Response(202, headers=headers)
        depth = chain.depth(request.headers)
        chain.check(depth, self._functions.recursive_loop(version.name))
        version, invoked = await self._run(name, qualifier, payload, request_id, context, depth=depth)
        headers["X-Amz-Executed-Version"] = version.version
        headers["x-amzn-Remapped-Content-Length"] = "0"
        if invoked.function_error:
            headers["X-Amz-Function-Error"] = invoked.function_error
        if params.get("LogType") == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(invoked.log.encode()[-LOG_TAIL:]).decode()
        return Response(200, invoked.payload, headers)

    async def close(self) -> None:
        """Discard waiting events."""
        await self._events.close()

    async def _run(
        self,
        name: str,
        qualifier: str | None,
        payload: bytes,
        request_id: str,
        context: str | None = None,
        *,
        depth: int = 0,
    ) -> tuple[RunnableVersion, Invoked]:
        version = self._functions.resolve(name, qualifier)
        arn = invoked_arn(version.arn, name, qualifier)
        with self._concurrency.slot(version.name, waited_for=depth > 0):
            invoked = await self._runtime.invoke(
                version, payload, request_id=request_id, client_context=context, invoked_arn=arn, depth=depth
            )
        return version, invoked


def checked_payload(body: bytes, kind: str) -> bytes:
    limit = MAX_REQUEST[kind]
    if len(body) > limit:
        text = f"{len(body)} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
        raise ServiceError("RequestEntityTooLargeException", text, status=413, members={"Type": "User"})
    if not body:
        return b"{}"
    try:
        strict_json(body)
    except ValueError as error:
        text = f"Could not parse request body into json: {error}"
        raise ServiceError("InvalidRequestContentException", text, members={"Type": "User"}) from None
    return body


def checked_client_context(encoded: str | None) -> str | None:
    """Return the client context as JSON text that fits a header."""
    if not encoded:
        return None
    try:
        context = json.loads(base64.b64decode(encoded, validate=True))
        if len(encoded) > MAX_CLIENT_CONTEXT or not isinstance(context, dict):
            raise ValueError
    except (ValueError, binascii.Error):
        text = "Client context must be a valid Base64-encoded JSON object."
        raise ServiceError("InvalidRequestContentException", text, members={"Type": "User"}) from None
    return json.dumps(context)


def invoked_arn(arn: str, name: str, qualifier: str | None) -> str:
    """Return the ARN as the caller named the function: with the qualifier that was given, if any."""
    inner = name.removeprefix(arn) if name.startswith("arn:") else name.removeprefix(arn.rpartition(":")[2])
    qualifier = qualifier or inner.removeprefix(":")
    return f"{arn}:{qualifier}" if qualifier else arn


def throttled(reason: str) -> ServiceError:
    # AWS sends no Retry-After when it is the function's own limit that was reached.
    wait = {} if reason.startswith("Reserved") else {"Retry-After": "1"}
    return ServiceError(
        "TooManyRequestsException",
        "Rate Exceeded.",
        status=429,
        members={"Type": "User", "Reason": reason},
        headers=wait,
    )
