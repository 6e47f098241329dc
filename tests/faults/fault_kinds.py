"""Everything that can go wrong with one request, sorted by what it means for the task."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
from collections.abc import Callable
from typing import Any

import botocore.session

from fault_proxy import Passage, Play

THROTTLE_REASONS: tuple[str, ...] = tuple(
    botocore.session.Session().get_service_model("lambda").shape_for("ThrottleReason").enum  # type: ignore[attr-defined]
)

NOT_READY = (
    (502, "EC2ThrottledException"),
    (502, "ENINotReadyException"),
    (502, "ResourceNotReadyException"),
    (502, "SubnetIPAddressLimitReachedException"),
    (409, "ResourceConflictException"),
    (409, "SnapStartNotReadyException"),
    (408, "EFSMountTimeoutException"),
)
"""Errors, at least one per status, by which AWS says that the function did not run and can be invoked later."""


def response(status: int, code: str = "", extra: str = "", **members: str) -> bytes:
    """Return an error as AWS words it, or, without `code`, as a load balancer does."""
    body = json.dumps({"message": "Said the proxy.", **members}).encode() if code else b"<html>No.</html>"
    kind = f"x-amzn-ErrorType: {code}\r\n" if code else ""
    head = f"HTTP/1.1 {status} Fault\r\n{kind}{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def answering(name: str, data: bytes | Callable[[], bytes]) -> Play:
    """Answer instead of the endpoint, which never hears of the request."""

    async def play(passage: Passage) -> None:
        await passage.request()
        await passage.client.send(data if isinstance(data, bytes) else data())

    play.__name__ = name
    return play


def throttling(reason: str, retry_after: str = "") -> Play:
    extra = f"Retry-After: {retry_after}\r\n" if retry_after else ""
    name = f"429 {reason}" + (" with Retry-After" if retry_after else "")
    return answering(name, response(429, "TooManyRequestsException", extra, Reason=reason, Type="User"))


def refusing(status: int, code: str, message: str) -> Play:
    return answering(f"{status} {code}", response(status, code, message=message))


def not_ready(status: int, code: str) -> Play:
    return answering(f"{status} {code}", response(status, code))


async def reset_before_body(passage: Passage) -> None:
    passage.client.reset()


async def reset_after_body(passage: Passage) -> None:
    await passage.request()
    passage.client.reset()


async def reset_after_execution(passage: Passage) -> None:
    await passage.forward()
    passage.client.reset()


async def hang_unexecuted(passage: Passage) -> None:
    await passage.request()
    await passage.hang()


async def hang_executed(passage: Passage) -> None:
    await passage.forward()
    await passage.hang()


async def half_head(passage: Passage) -> None:
    answer = await passage.forward()
    await passage.client.send(answer[: answer.index(b"\r\n\r\n") // 2])
    passage.client.close()


async def half_body(passage: Passage) -> None:
    answer = await passage.forward()
    start = answer.index(b"\r\n\r\n") + 4
    await passage.client.send(answer[: (start + len(answer)) // 2])
    passage.client.close()


async def no_answer(passage: Passage) -> None:
    await passage.forward()
    passage.client.close()


async def slow_drip(passage: Passage) -> None:
    answer = await passage.forward()
    step = max(1, len(answer) // 20)
    for start in range(0, len(answer), step):
        await passage.client.send(answer[start : start + step])
        await asyncio.sleep(0.003)
    passage.finish()


async def last_answer(passage: Passage) -> None:
    answer = await passage.forward()
    await passage.client.send(answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
    passage.finish()
    passage.client.close()


ODD_BODIES = (b"", b"null", b"[]", b"{}", b"<html>No.</html>", b"[" * 100_000, b"\x1f\x8b" + b"\0" * 99, b"\xff" * 9)
ODD_VALUES = (b"", b"-1", b"inf", b"\xc3\xa9", b"=", b"A" * 9_000, b"2147483648", b"chunked", b"gzip", b"Unhandled")
ODD_STATUSES = (
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0 200",
    b"HTTP/1.1 204 None",
    b"HTTP/1.1 500 No",
    b"HTTP/1.1 999 What",
    b"No.",
)
"""None says that the function did not run: the client would believe that of one that did."""


def mutated(answer: bytes, chance: random.Random) -> bytes:
    """Corrupt an answer somewhere: its status, a header, its length or its body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    at = chance.randrange(len(headers))
    name = headers[at].partition(b":")[0]
    kind = chance.randrange(7)
    if kind == 0:
        # After the status: a flipped bit could make it one that `ODD_STATUSES` excludes.
        place = chance.randrange(len(status) + 2, len(answer))
        return answer[:place] + bytes([answer[place] ^ (1 << chance.randrange(8))]) + answer[place + 1 :]
    if kind == 1:
        return answer[: chance.randrange(len(answer))]
    if kind == 2:
        headers[at] = name + b": " + chance.choice(ODD_VALUES)
    elif kind == 3:
        del headers[at]
    elif kind == 4:
        more = (b"x-amz-log-result", b"x-amz-function-error", b"retry-after", b"transfer-encoding", name)
        headers.append(chance.choice(more) + b": " + chance.choice(ODD_VALUES))
    elif kind == 5:
        status = chance.choice(ODD_STATUSES)
    else:
        body = chance.choice(ODD_BODIES)
        headers = [line for line in headers if not line.lower().startswith((b"content-length", b"transfer-encoding"))]
        headers.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([status, *headers, b"", body])


def mutating(seed: int) -> Play:
    """Corrupt each answer in a different way."""
    chance = random.Random(seed)

    async def play(passage: Passage) -> None:
        await passage.client.send(mutated(await passage.forward(), chance))
        # A client that was promised a longer body would wait for it.
        passage.client.close()

    play.__name__ = "mutated"
    return play


REFUSED: list[Play] = [
    *(throttling(reason) for reason in THROTTLE_REASONS),
    throttling(THROTTLE_REASONS[0], retry_after="1"),
    *(not_ready(*error) for error in NOT_READY),
]
"""Class A: not executed, send it again; costs the task no attempt."""

LOST_UNEXECUTED: list[Play] = [
    answering("500 ServiceException", response(500, "ServiceException", Type="Service")),
    answering("500", response(500)),
    answering("502", response(502)),
    answering("503", response(503)),
    answering("504", response(504)),
    answering("410 EFSIOException", response(410, "EFSIOException")),
    reset_before_body,
    reset_after_body,
    hang_unexecuted,
]
"""Class C: the client cannot tell whether it was executed; it was not."""

LOST_EXECUTED: list[Play] = [reset_after_execution, hang_executed, half_head, half_body, no_answer]
"""Class C: the client cannot tell whether it was executed; it was."""


def parts(answer: bytes) -> tuple[bytes, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, json.loads(body)


def whole(head: bytes, reply: Any) -> bytes:
    body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    return re.sub(rb"(?i)content-length: *\d+", b"content-length: %d" % len(body), head) + b"\r\n\r\n" + body


def altering(name: str, change: Callable[[dict[str, Any]], Any]) -> Play:
    """Execute the request and alter the reply."""

    async def play(passage: Passage) -> None:
        head, reply = parts(await passage.forward())
        await passage.client.send(whole(head, change(reply)))
        # The client closes the connection that brought it.
        await asyncio.wait_for(passage.client.reader.read(1), 60)

    play.__name__ = name
    return play


def flip(reply: dict[str, Any]) -> dict[str, Any]:
    value = base64.b64decode(reply["values"])
    reply["values"] = base64.b64encode(value[:-2] + bytes([value[-2] ^ 1]) + value[-1:]).decode()
    return reply


ALTERED = [
    altering("a flipped bit", flip),
    altering("another time", lambda reply: {**reply, "outcomes": [{**reply["outcomes"][0], "seconds": 0.0}]}),
    altering("another task", lambda reply: {**reply, "outcomes": [{**reply["outcomes"][0], "id": 13}]}),
    altering("no outcome", lambda reply: {**reply, "outcomes": []}),
    altering("an error", lambda reply: {**reply, "outcomes": [], "error": "Stop all of it."}),
    altering("no seal", lambda reply: {name: value for name, value in reply.items() if name != "seal"}),
    altering("a seal that is no text", lambda reply: {**reply, "seal": ["é"]}),
    altering("a list", lambda reply: [reply]),
    altering("nothing", lambda reply: b""),
    altering("deep", lambda reply: b"[" * 200_000),
]
"""Executed, but the reply was altered on its way: a lost attempt, like class C."""

HARMLESS: list[Play] = [slow_drip, last_answer]

_some = random.Random(0)
SHORT_PAUSES: list[Play] = [
    answering("429", lambda: response(429, "TooManyRequestsException", Reason=_some.choice(THROTTLE_REASONS))),
    answering("not ready", lambda: response(*_some.choice(NOT_READY[:3]))),
]
"""Class A at random for long jobs, without Retry-After: AWS's own, a second, would be most of such a job."""
