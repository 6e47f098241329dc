"""Results that were kept in S3, and what others have put in their place: every task that is waited for is told of."""

from __future__ import annotations

import hmac
import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lithops_magic.aws.invoke.outcomes import Reply
from lithops_magic.engine.durable import kept_results
from lithops_magic.engine.durable.kept_results import Watch, unseal
from lithops_magic.engine.wire.store import Place

KEY = bytes(range(32))
PREFIX = "results/1/"
BODIES = 3_000
PATIENCE = 30


def signed(outcome: Any) -> bytes:
    body = outcome if isinstance(outcome, bytes) else json.dumps(outcome).encode()
    return hmac.digest(KEY, body, "sha256") + body


def sound(task: int) -> dict[str, Any]:
    return {"id": task, "status": "ok", "value": "gA==", "started": 0.0, "seconds": 1.5, "log": "", "sandbox": "a"}


NO_OUTCOMES: list[Any] = [
    b"",
    b"[" * 100_000,
    b"\xff\xfe",
    b"{}",
    b"null",
    b'"x"',
    [],
    {"id": True, "seconds": 1.0},
    {"id": [1], "seconds": 1.0},
    {"id": 1},
    {"id": 2, "seconds": 1.0},
    *({**sound(1), "seconds": odd} for odd in (None, "y", [], -1, float("nan"), float("inf"), 10**400)),
    *({**sound(1), "memory_mb": odd} for odd in (None, "y", {}, -7, float("nan"))),
]
"""What a task could sign that has found the job's key."""


def bodies() -> Iterator[bytes]:
    chance = random.Random(20)
    good = signed(sound(1))
    for _ in range(BODIES):
        body = bytearray(good)
        position = chance.randrange(len(body))
        match chance.randrange(4):
            case 0:
                body[position] ^= 1 << chance.randrange(8)
            case 1:
                del body[position:]
            case 2:
                body[position:position] = chance.randbytes(chance.randrange(1, 40))
            case _:
                body = bytearray(chance.randbytes(chance.randrange(200)))
        if bytes(body) != good:
            yield bytes(body)


def test_a_body_that_was_changed_is_never_an_outcome() -> None:
    assert unseal(KEY, signed(sound(1)), 1) == sound(1)
    for body in bodies():
        with pytest.raises(ValueError, match="not signed"):
            unseal(KEY, body, 1)


@pytest.mark.parametrize("outcome", NO_OUTCOMES, ids=lambda outcome: repr(outcome)[:40])
def test_what_is_signed_and_no_outcome_is_none(outcome: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the texts differ, that it is a ValueError is what callers rely on
        unseal(KEY, signed(outcome), 1)


class Shelf:
    """A store in memory."""

    bucket, owner, start = "bucket", "1" * 12, ""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self._objects = objects

    def list(self, prefix: str) -> Iterator[str]:
        return iter([key for key in self._objects if key.startswith(prefix)])

    def get(self, key: str, *, sha256: str | None = None, size: int | None = None) -> bytes:
        return self._objects[key]

    def put(self, key: str, data: bytes) -> None:
        raise NotImplementedError

    def put_once(self, data: bytes, *, sha256: str, again: bool = False) -> str:
        raise NotImplementedError


def test_every_task_is_told_of_whatever_stands_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_results, "FIRST_PAUSE", 0.01)
    objects: dict[str, bytes] = {}
    for task, body in enumerate([*map(signed, NO_OUTCOMES), *list(bodies())[:200]], 100):
        objects[f"{PREFIX}{task}"] = body
    good = range(20)
    objects |= {f"{PREFIX}{task}": signed(sound(task)) for task in good}
    tasks = [*good, *range(100, 100 + len(objects) - len(good))]
    found: dict[int, list[Reply | None]] = {task: [] for task in tasks}
    watch = Watch(Place(Shelf(objects), PREFIX, key=KEY), timeout=10)
    told = threading.Semaphore(0)
    for task in tasks:

        def done(reply: Reply | None, task: int = task) -> None:
            found[task].append(reply)
            told.release()

        watch.expect([task], time.monotonic() + 600, done)
    for _ in tasks:
        assert told.acquire(timeout=PATIENCE)
    watch.close()
    assert {len(replies) for replies in found.values()} == {1}
    statuses = {}
    for task, (reply,) in found.items():
        assert reply is not None
        (outcome,) = json.loads(reply.payload)["outcomes"]
        assert outcome["id"] == task
        statuses[task] = outcome["status"]
    assert statuses == {task: "ok" if task in good else "tampered" for task in tasks}
