"""Checks of the service itself: its responses compared with recordings of AWS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.storage.bucket import JOB_PREFIX
from lithops_magic.verify import probe
from lithops_magic.verify.answers import Expected, ServiceReply, ask, compare, payload
from lithops_magic.verify.context import CheckContext
from lithops_magic.verify.finding import Observation

MAX_REQUEST = 6_291_456
"""Bytes of a synchronous request (recorded)."""
MAX_REPLY = 6_291_556
"""Bytes of a reply (recorded)."""
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HEADERS = ("x-amzn-requestid", "content-type", "content-length")
_REPLIED = (*_HEADERS, "x-amz-executed-version", "x-amz-log-result")
_REFUSED = (*_HEADERS, "x-amzn-errortype")
_REPORT = (
    r".*\nREPORT RequestId: [-0-9a-f]+\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\t"
    r"Memory Size: 128 MB\tMax Memory Used: \d+ MB\t.*"
)


def _read(response: Any) -> Mapping[str, Any]:
    seen = payload(response)
    return {
        "error": response.get("FunctionError", ""),
        "version": response.get("ExecutedVersion", ""),
        "log": response["log"],
        "payload": seen,
        "type": seen.get("errorType", "") if isinstance(seen, dict) else "",
        "text": seen.get("errorMessage", "") if isinstance(seen, dict) else "",
        "keys": " ".join(sorted(seen)) if isinstance(seen, dict) else "",
    }


def _invoked(context: CheckContext, event: object, **options: Any) -> ServiceReply:
    return ask(lambda: context.invoke(event, **options), _read)


IDENTITY = Expected(200, headers=("x-amzn-requestid",), values={"Arn": r"arn:aws[\w-]*:(iam|sts)::\d{12}:.+"})


def identity(context: CheckContext) -> Observation:
    return compare(IDENTITY, ask(context.cloud.client("sts").get_caller_identity, lambda answer: answer))


INVOKED = Expected(
    200,
    headers=_REPLIED,
    values={"error": "", "version": r"\$LATEST", "keys": "cold id memory", "log": _REPORT},
)


def invoked(context: CheckContext) -> Observation:
    return compare(INVOKED, _invoked(context, {}))


PERMITTED = Expected(204, headers=("x-amzn-requestid",))


def permitted(context: CheckContext) -> Observation:
    """A dry run: no function runs."""
    return compare(PERMITTED, ask(lambda: context.raw.invoke(FunctionName=context.probe, InvocationType="DryRun")))


ACCEPTED = Expected(202, headers=("x-amzn-requestid",))


def accepted(context: CheckContext) -> Observation:
    """An asynchronous invocation."""
    return compare(
        ACCEPTED, ask(lambda: context.raw.invoke(FunctionName=context.probe, InvocationType="Event", Payload=b"{}"))
    )


def _failed(kind: str, text: str, keys: str) -> Expected:
    values = {"error": "Unhandled", "type": re.escape(kind), "text": text, "keys": keys}
    return Expected(200, headers=(*_REPLIED, "x-amz-function-error"), values=values)


RAISED = _failed("ValueError", "told to", "errorMessage errorType requestId stackTrace")


def raised(context: CheckContext) -> Observation:
    return compare(RAISED, _invoked(context, {"do": "raise"}))


UNSERIALIZABLE = _failed(
    "Runtime.MarshalError",
    "Unable to marshal response: Object of type set is not JSON serializable",
    "errorMessage errorType requestId stackTrace",
)


def unserializable(context: CheckContext) -> Observation:
    return compare(UNSERIALIZABLE, _invoked(context, {"do": "unserializable"}))


EXITED = _failed(
    "Runtime.ExitError", f"RequestId: {_ID} Error: Runtime exited with error: exit status 7", "errorMessage errorType"
)


def exited(context: CheckContext) -> Observation:
    return compare(EXITED, _invoked(context, {"do": "exit", "status": 7}))


LEFT = _failed(
    "Runtime.ExitError", f"RequestId: {_ID} Error: Runtime exited without providing a reason", "errorMessage errorType"
)


def left(context: CheckContext) -> Observation:
    return compare(LEFT, _invoked(context, {"do": "exit", "status": 0}))


TIMED_OUT = _failed(
    "Sandbox.Timedout",
    f"RequestId: {_ID} Error: Task timed out after {probe.TIMEOUT}.00 seconds",
    "errorMessage errorType",
)


def timed_out(context: CheckContext) -> Observation:
    return compare(TIMED_OUT, _invoked(context, {"do": "sleep", "seconds": probe.TIMEOUT + 5}))


KILLED = Expected(
    200,
    headers=(*_REPLIED, "x-amz-function-error"),
    values={
        "error": "Unhandled",
        "type": r"Runtime\.(ExitError|OutOfMemory)",
        "text": f"RequestId: {_ID} Error: Runtime exited with error: signal: killed",
        "keys": "errorMessage errorType",
    },
)


def killed(context: CheckContext) -> Observation:
    return compare(KILLED, _invoked(context, {"do": "memory", "size": 4 * probe.MEMORY}))


FULL_REPLY = Expected(200, headers=_REPLIED, values={"error": "", "size": str(MAX_REPLY - 2)})


def full_reply(context: CheckContext) -> Observation:
    event = {"do": "return", "size": MAX_REPLY - 2}  # and two quotes
    return compare(
        FULL_REPLY,
        ask(
            lambda: context.invoke(event),
            lambda r: {"error": r.get("FunctionError", ""), "size": len(payload(r))},
        ),
    )


TOO_LARGE_REPLY = _failed(
    "Function.ResponseSizeTooLarge",
    re.escape(f"Response payload size exceeded maximum allowed payload size ({MAX_REPLY} bytes)."),
    "errorMessage errorType",
)


def too_large_reply(context: CheckContext) -> Observation:
    return compare(TOO_LARGE_REPLY, _invoked(context, {"do": "return", "size": MAX_REPLY}))


def _padded(size: int) -> bytes:
    head, tail = b'{"pad": "', b'"}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


FULL_REQUEST = Expected(200, headers=_REPLIED, values={"error": "", "keys": "cold id memory"})


def full_request(context: CheckContext) -> Observation:
    return compare(FULL_REQUEST, _invoked(context, None, body=_padded(MAX_REQUEST)))


TOO_LARGE_REQUEST = Expected(
    413,
    "RequestEntityTooLargeException",
    re.escape(
        f"{MAX_REQUEST + 1} byte payload is too large for the RequestResponse invocation type "
        f"(limit {MAX_REQUEST} bytes)"
    ),
    _REFUSED,
)


def too_large_request(context: CheckContext) -> Observation:
    return compare(TOO_LARGE_REQUEST, _invoked(context, None, body=_padded(MAX_REQUEST + 1)))


NOT_JSON = Expected(400, "InvalidRequestContentException", "Could not parse request body into json: .+", _REFUSED)


def not_json(context: CheckContext) -> Observation:
    return compare(NOT_JSON, _invoked(context, None, body=b"{not json"))


UNKNOWN_FUNCTION = Expected(404, "ResourceNotFoundException", r"Function not found: arn:aws[\w-]*:lambda:.+", _REFUSED)


def unknown_function(context: CheckContext) -> Observation:
    name = f"{context.probe[:40]}-missing"
    return compare(UNKNOWN_FUNCTION, ask(lambda: context.raw.invoke(FunctionName=name, Payload=b"{}")))


RANGED = Expected(206, headers=("content-range", "etag"), values={"range": "bytes 2-4/10", "body": "234"})


def ranged(context: CheckContext) -> Observation:
    key = _object(context)
    return compare(RANGED, ask(lambda: _get(context, key, Range="bytes=2-4"), _body))


BEYOND = Expected(416, "InvalidRange", "The requested range is not satisfiable", values={"body": "null"})


def beyond(context: CheckContext) -> Observation:
    return compare(BEYOND, ask(lambda: _get(context, _object(context), Range="bytes=100-"), _body))


WRITTEN_ONCE = Expected(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")


def written_once(context: CheckContext) -> Observation:
    """A second conditional write to the same key."""
    key = _object(context)
    client, bucket = context.cloud.client("s3"), context.store.bucket
    return compare(WRITTEN_ONCE, ask(lambda: client.put_object(Bucket=bucket, Key=key, Body=b"x", IfNoneMatch="*")))


ABSENT = Expected(404, "NoSuchKey", r"The specified key does not exist\.")


def absent(context: CheckContext) -> Observation:
    return compare(ABSENT, ask(lambda: _get(context, f"{_object(context)}-absent")))


def _object(context: CheckContext) -> str:
    key = f"{JOB_PREFIX}objects/{context.probe}"
    with aws_errors():
        if not context.store.exists(key):
            context.store.put(key, b"0123456789")
    return key


def _get(context: CheckContext, key: str, **options: Any) -> Any:
    return context.cloud.client("s3").get_object(Bucket=context.store.bucket, Key=key, **options)


def _body(response: Any) -> Mapping[str, Any]:
    return {"range": response.get("ContentRange", ""), "body": response["Body"].read().decode("utf-8", "replace")}
