"""Checks of the service itself: its responses compared with recordings of AWS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.storage.bucket import JOB_PREFIX
from lithops_magic.verify import probe
from lithops_magic.verify.answers import Expected, ServiceReply, ask, compare, payload
from lithops_magic.verify.finding import Seen
from lithops_magic.verify.ground import Ground

LARGEST_REQUEST = 6_291_456
"""Bytes of a synchronous request (recorded)."""
LARGEST_REPLY = 6_291_556
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


def _invoked(ground: Ground, event: object, **options: Any) -> ServiceReply:
    return ask(lambda: ground.invoke(event, **options), _read)


IDENTITY = Expected(200, headers=("x-amzn-requestid",), values={"Arn": r"arn:aws[\w-]*:(iam|sts)::\d{12}:.+"})


def identity(ground: Ground) -> Seen:
    return compare(IDENTITY, ask(ground.cloud.client("sts").get_caller_identity, lambda answer: answer))


INVOKED = Expected(
    200,
    headers=_REPLIED,
    values={"error": "", "version": r"\$LATEST", "keys": "cold id memory", "log": _REPORT},
)


def invoked(ground: Ground) -> Seen:
    return compare(INVOKED, _invoked(ground, {}))


PERMITTED = Expected(204, headers=("x-amzn-requestid",))


def permitted(ground: Ground) -> Seen:
    """A dry run: no function runs."""
    return compare(PERMITTED, ask(lambda: ground.raw.invoke(FunctionName=ground.probe, InvocationType="DryRun")))


ACCEPTED = Expected(202, headers=("x-amzn-requestid",))


def accepted(ground: Ground) -> Seen:
    """An asynchronous invocation."""
    return compare(
        ACCEPTED, ask(lambda: ground.raw.invoke(FunctionName=ground.probe, InvocationType="Event", Payload=b"{}"))
    )


def _failed(kind: str, text: str, keys: str) -> Expected:
    values = {"error": "Unhandled", "type": re.escape(kind), "text": text, "keys": keys}
    return Expected(200, headers=(*_REPLIED, "x-amz-function-error"), values=values)


RAISED = _failed("ValueError", "told to", "errorMessage errorType requestId stackTrace")


def raised(ground: Ground) -> Seen:
    return compare(RAISED, _invoked(ground, {"do": "raise"}))


UNSERIALIZABLE = _failed(
    "Runtime.MarshalError",
    "Unable to marshal response: Object of type set is not JSON serializable",
    "errorMessage errorType requestId stackTrace",
)


def unserializable(ground: Ground) -> Seen:
    return compare(UNSERIALIZABLE, _invoked(ground, {"do": "unserializable"}))


EXITED = _failed(
    "Runtime.ExitError", f"RequestId: {_ID} Error: Runtime exited with error: exit status 7", "errorMessage errorType"
)


def exited(ground: Ground) -> Seen:
    return compare(EXITED, _invoked(ground, {"do": "exit", "status": 7}))


LEFT = _failed(
    "Runtime.ExitError", f"RequestId: {_ID} Error: Runtime exited without providing a reason", "errorMessage errorType"
)


def left(ground: Ground) -> Seen:
    return compare(LEFT, _invoked(ground, {"do": "exit", "status": 0}))


TIMED_OUT = _failed(
    "Sandbox.Timedout",
    f"RequestId: {_ID} Error: Task timed out after {probe.TIMEOUT}.00 seconds",
    "errorMessage errorType",
)


def timed_out(ground: Ground) -> Seen:
    return compare(TIMED_OUT, _invoked(ground, {"do": "sleep", "seconds": probe.TIMEOUT + 5}))


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


def killed(ground: Ground) -> Seen:
    return compare(KILLED, _invoked(ground, {"do": "memory", "size": 4 * probe.MEMORY}))


FULL_REPLY = Expected(200, headers=_REPLIED, values={"error": "", "size": str(LARGEST_REPLY - 2)})


def full_reply(ground: Ground) -> Seen:
    event = {"do": "return", "size": LARGEST_REPLY - 2}  # and two quotes
    return compare(
        FULL_REPLY,
        ask(
            lambda: ground.invoke(event),
            lambda r: {"error": r.get("FunctionError", ""), "size": len(payload(r))},
        ),
    )


TOO_LARGE_REPLY = _failed(
    "Function.ResponseSizeTooLarge",
    re.escape(f"Response payload size exceeded maximum allowed payload size ({LARGEST_REPLY} bytes)."),
    "errorMessage errorType",
)


def too_large_reply(ground: Ground) -> Seen:
    return compare(TOO_LARGE_REPLY, _invoked(ground, {"do": "return", "size": LARGEST_REPLY}))


def _padded(size: int) -> bytes:
    head, tail = b'{"pad": "', b'"}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


FULL_REQUEST = Expected(200, headers=_REPLIED, values={"error": "", "keys": "cold id memory"})


def full_request(ground: Ground) -> Seen:
    return compare(FULL_REQUEST, _invoked(ground, None, body=_padded(LARGEST_REQUEST)))


TOO_LARGE_REQUEST = Expected(
    413,
    "RequestEntityTooLargeException",
    re.escape(
        f"{LARGEST_REQUEST + 1} byte payload is too large for the RequestResponse invocation type "
        f"(limit {LARGEST_REQUEST} bytes)"
    ),
    _REFUSED,
)


def too_large_request(ground: Ground) -> Seen:
    return compare(TOO_LARGE_REQUEST, _invoked(ground, None, body=_padded(LARGEST_REQUEST + 1)))


NOT_JSON = Expected(400, "InvalidRequestContentException", "Could not parse request body into json: .+", _REFUSED)


def not_json(ground: Ground) -> Seen:
    return compare(NOT_JSON, _invoked(ground, None, body=b"{not json"))


UNKNOWN_FUNCTION = Expected(404, "ResourceNotFoundException", r"Function not found: arn:aws[\w-]*:lambda:.+", _REFUSED)


def unknown_function(ground: Ground) -> Seen:
    name = f"{ground.probe[:40]}-missing"
    return compare(UNKNOWN_FUNCTION, ask(lambda: ground.raw.invoke(FunctionName=name, Payload=b"{}")))


RANGED = Expected(206, headers=("content-range", "etag"), values={"range": "bytes 2-4/10", "body": "234"})


def ranged(ground: Ground) -> Seen:
    key = _object(ground)
    return compare(RANGED, ask(lambda: _get(ground, key, Range="bytes=2-4"), _body))


BEYOND = Expected(416, "InvalidRange", "The requested range is not satisfiable", values={"body": "null"})


def beyond(ground: Ground) -> Seen:
    return compare(BEYOND, ask(lambda: _get(ground, _object(ground), Range="bytes=100-"), _body))


WRITTEN_ONCE = Expected(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")


def written_once(ground: Ground) -> Seen:
    """A second conditional write to the same key."""
    key = _object(ground)
    client, bucket = ground.cloud.client("s3"), ground.store.bucket
    return compare(WRITTEN_ONCE, ask(lambda: client.put_object(Bucket=bucket, Key=key, Body=b"x", IfNoneMatch="*")))


ABSENT = Expected(404, "NoSuchKey", r"The specified key does not exist\.")


def absent(ground: Ground) -> Seen:
    return compare(ABSENT, ask(lambda: _get(ground, f"{_object(ground)}-absent")))


def _object(ground: Ground) -> str:
    key = f"{JOB_PREFIX}objects/{ground.probe}"
    with aws_errors():
        if not ground.store.exists(key):
            ground.store.put(key, b"0123456789")
    return key


def _get(ground: Ground, key: str, **options: Any) -> Any:
    return ground.cloud.client("s3").get_object(Bucket=ground.store.bucket, Key=key, **options)


def _body(response: Any) -> Mapping[str, Any]:
    return {"range": response.get("ContentRange", ""), "body": response["Body"].read().decode("utf-8", "replace")}
