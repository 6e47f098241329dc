"""Calls from within a task: made by other sandboxes of the same function, with what this one was sent."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from lithops_magic.errors import InvokeError, LithopsMagicError, NotAuthorized, SerializationError
from lithops_magic.lithops import inside

AT_ONCE = 64
"""Maximum calls in flight."""
_LIMIT = 6_291_456
"""Maximum bytes of a request (AWS's quota for Invoke)."""
_PASSED_ON = ("protocol", "python", "cloudpickle", "sources", "imports")
"""The request's fields on packages and modules, passed on to the other sandboxes."""
_MAX_SECONDS = 910
"""Seconds to wait for a reply: a function runs for at most fifteen minutes."""


_ADVICE = {
    "TooManyRequestsException": "no sandbox is free, as tasks that wait for their own calls hold the account's "
    "concurrency: run fewer of them at once (max_workers of the outer executor).",
    "RecursiveInvocationException": "tasks that start tasks are stopped by AWS after 16 levels: start them from fewer.",
}
"""What to do where AWS has no sandbox for a call."""


class NestedFuture(Future[Any]):
    """The future of a call, like the engine's `CallFuture`."""

    task = None
    log = ""


class NestedExecutor(Executor):
    """Invokes the task's own function; when garbage-collected, it waits for its calls.

    Parameters
    ----------
    max_workers
        Maximum concurrent calls.
    initializer, initargs
        Called once per sandbox.
    env
        Environment variables of the calls.
    options
        Ignored: memory and timeout are those of the task's function.
    """

    streams: tuple[Any, ...] = ()

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        inside.warn_if_memory_ignored(options.get("memory"))
        self._begin = None if initializer is None else (initializer, initargs)
        self._env, self._key = dict(env or {}), secrets.token_hex(16)
        self._pool = ThreadPoolExecutor(max_workers or AT_ONCE, "lambda-nested")
        self._client = inside.client(
            "lambda",
            read_timeout=_MAX_SECONDS,
            max_pool_connections=AT_ONCE,
            # For throttles; a call that did run is not repeated, since its read timeout exceeds any function's.
            retries={"mode": "standard", "total_max_attempts": 10},
        )
        # The threads hold no reference to this object, so that it can be collected.
        self._finalizer = weakref.finalize(self, self._pool.shutdown)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> NestedFuture:
        """Schedule ``fn(*args, **kwargs)`` in another sandbox."""
        # Pickled now, as with any executor: what the caller changes afterwards is not seen.
        future = NestedFuture()
        request = self._request(inside.worker("packing").dumps((fn, args, kwargs, self._begin)))
        self._pool.submit(_make, self._client, request, future)
        return future

    def submitter(self, fn: Callable[..., Any]) -> Callable[..., NestedFuture]:
        """Return a function that submits calls of `fn`."""
        return partial(self.submit, fn)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _request(self, item: bytes) -> dict[str, Any]:
        own: dict[str, Any] = inside.worker("functions").request
        function = inside.worker("packing").dumps(run)
        reference = {"sha256": hashlib.sha256(function).hexdigest(), "data": base64.b64encode(function).decode()}
        request = {name: own[name] for name in _PASSED_ON if name in own}
        if "store" in own:
            # Its results must not be stored under the number of one of this job's tasks.
            request["store"] = {name: own["store"][name] for name in ("bucket", "owner", "prefix")} | {"after": 1e9}
        if self._env:
            request["env"] = self._env
        tasks = [{"id": 0, "data": base64.b64encode(item).decode()}]
        return {**request, "key": self._key, "function": reference, "request": secrets.token_hex(8), "tasks": tasks}


_given: list[dict[str, Any]] = []
"""The initializer's state in this process."""


def run(item: tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any], Any]) -> Any:
    """Make a call in the other sandbox."""
    function, args, kwargs, begin = item
    if begin is not None:
        names = getattr(begin[0], "__globals__", {})
        if not _given:
            before = dict(names)
            begin[0](*begin[1])
            # `begin` stands for "not there before": no global variable can be this very tuple.
            _given.append({name: value for name, value in names.items() if before.get(name, begin) is not value})
        # Each call is unpickled with new global variables, of which the initializer set those of the first call only.
        names.update(_given[0])
    return function(*args, **kwargs)


def _make(client: Any, request: Mapping[str, Any], future: NestedFuture) -> None:
    # Nothing is sent for a call that was cancelled in the queue.
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(_answer(client, request, future))
    except BaseException as error:
        future.set_exception(error)


def _answer(client: Any, request: Mapping[str, Any], future: NestedFuture) -> Any:
    payload = json.dumps(request).encode()
    if len(payload) > _LIMIT:
        raise SerializationError(
            f"A call from within a task takes {len(payload):,} bytes, AWS allows {_LIMIT:,}: put large data into "
            "storage (storage.put_cloudobject), and pass the cloud object."
        )
    name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    try:
        answer = client.invoke(FunctionName=name, Payload=payload)
    except Exception as error:
        response: Any = getattr(error, "response", {})
        code = response.get("Error", {}).get("Code")
        if code in _ADVICE:
            raise InvokeError(f"A call from within a task was refused ({code}): {_ADVICE[code]}") from None
        if code in ("AccessDeniedException", "AccessDenied"):
            raise NotAuthorized(
                "The execution role may not invoke its own functions, which a job from within a task does: "
                "`lithops-magic role create --nested` allows it."
            ) from None
        raise InvokeError(f"A call from within a task was refused: {error}") from None
    # The value of the only task ends the reply, in base64: see `engine/wire/reply`, which no sandbox has.
    head, mark, value = answer["Payload"].read().rpartition(inside.worker("reply").VALUES)
    reply = json.loads(head + b"}" if mark else value)
    if "FunctionError" in answer:
        raise InvokeError(f"A call from within a task ended: {reply.get('errorType')}: {reply.get('errorMessage')}")
    return _value(reply, value.removesuffix(b'"}'), request, future)


def _value(reply: Mapping[str, Any], encoded: bytes, request: Mapping[str, Any], future: NestedFuture) -> Any:
    if "error" in reply:
        raise LithopsMagicError(f"A call from within a task could not start: {reply['error']}")
    outcome = reply["outcomes"][0]
    future.log = outcome.get("log", "")
    if outcome["status"] == "ok":
        value = outcome["value"]
        if isinstance(value, dict):
            store = inside.worker("store").Store(request["store"])
            return inside.worker("packing").loads(store.get(value, "result"))
        return inside.worker("packing").loads(base64.b64decode(encoded))
    if outcome.get("exception"):
        raise inside.worker("exceptions").unpack(base64.b64decode(outcome["exception"]))
    error = outcome.get("error") or {}
    said = f"{error['type']}: {error['message']}" if error else outcome.get("reason") or outcome["status"]
    raise LithopsMagicError(f"A call from within a task failed: {said}")
