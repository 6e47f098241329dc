"""The worker, given requests and objects that no client of ours wrote: a sound reply, or one line that says why."""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import io
import json
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.item import fragment
from lithops_magic.worker import fault, functions, handler, in_process, packing, processes, store
from lithops_magic.worker.detached import NotDone
from lithops_magic.worker.seal import is_sealed
from replies import opened
from thorough import share

KEY = bytes(range(32))
REQUESTS = share(1_500, 6_000)
BODIES = 2_000
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    10**30,
    "",
    "x",
    "é\ud800",
    "=" * 9,
    "A" * 100_000,
    [],
    {},
    [[]],
    {"x": {"y": []}},
    ["x"] * 50,
]
"""What stands where something else should."""


class Context:
    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


class Refusing:
    """An S3 that takes and gives nothing."""

    def __getattr__(self, name: str) -> Any:
        def refuse(**_: Any) -> None:
            raise ValueError(f"no {name}")

        return refuse


class Holding:
    """An S3 that has one body for every key."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def get_object(self, **_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(self._body), "ContentLength": len(self._body)}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Answer in this very process, as where none can be forked; tells how often the sandbox was to be replaced."""
    replaced: list[str] = []

    def serially(tasks: Sequence[Any], _count: int, runner: Any, alarm: Any, reply: Any, log: Any) -> None:
        for task in tasks:
            reply.add(runner.run(task, alarm, log))

    monkeypatch.setattr(handler, "run", in_process.run)
    monkeypatch.setattr(processes, "run_all", serially)
    monkeypatch.setattr(handler, "end_after_reply", lambda: replaced.append("replaced"))
    monkeypatch.setattr(store.Store, "_client", lambda _: Refusing())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield replaced
    functions.forget()


def requests() -> list[dict[str, Any]]:
    """Return sound requests: all that one can hold is in one of them."""
    requests = Function.pickle(lambda x: x + 1).place(key=KEY)
    plain = json.loads(requests.request(fragment(i, i, requests.room) for i in range(3)))
    place = {"bucket": "b", "owner": "1" * 12, "prefix": "results/1/", "after": 60.0}
    spilled = {"object": "results/1/item", "sha256": "0" * 64, "size": 7}
    more = {"env": {"LITHOPS_MAGIC_ODD": "1"}, "versions": {"json": "2"}, "locals": True, "processes": 2}
    return [
        plain,
        {**plain, **more, "store": place, "tasks": [*plain["tasks"], {"id": 3, **spilled}]},
        {**plain, "store": place, "function": spilled, "starmap": True},
        {**plain, "store": {**place, "runs": 3, "again": ["died"]}, "tasks": plain["tasks"][:1]},
    ]


@pytest.mark.parametrize("lacks", ["object", "sha256", "size"])
def test_a_reference_that_lacks_something_is_one_line_and_no_error_of_the_users(alone: list[str], lacks: str) -> None:
    event = requests()[1]
    del event["tasks"][3][lacks]
    *rest, odd = opened(handler.handle(event, Context))["outcomes"]  # type: ignore[arg-type]
    assert (odd["status"], odd["reason"]) == ("store", "the item is in S3, and the request does not say where")
    assert [one["status"] for one in rest] == ["ok"] * 3
    assert not alone


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything in a request."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inside:
        yield from places(each, (*path, name))


def mutated(request: dict[str, Any], chance: random.Random) -> Any:
    """Return the request with something missing, cut off, of another type, too deep, or not as it was encoded."""
    request = copy.deepcopy(request)
    *way, last = chance.choice(list(places(request))[1:])
    holder: Any = request
    for name in way:
        holder = holder[name]
    old = holder[last]
    match chance.randrange(4):
        case 0:
            del holder[last]
        case 1 if isinstance(old, str) and old:
            cut = chance.randrange(len(old))
            holder[last] = old[:cut] + chance.choice(["", "!", "\x00", "A", "é"]) + old[cut + chance.randrange(2) :]
        case 2:
            deep: Any = old
            for _ in range(chance.choice([1, 2, 900, 5_000])):
                deep = [deep]
            holder[last] = deep
        case _:
            holder[last] = chance.choice(ODD)
    return request


def check(event: Any, reply: Any) -> None:
    if event.get("store", {}).get("runs"):
        again = json.loads(json.dumps(reply))
        if not again:
            return  # of a detached job's, which nobody hears
    else:
        assert is_sealed(reply, bytes.fromhex(event.get("key", "")), event.get("request", ""))
        again = opened(reply)
    assert (again["protocol"], bool(again["sandbox"])) == (handler.PROTOCOL, True)
    if "error" in again:
        assert isinstance(again["error"], str)
    else:
        assert all(isinstance(outcome["status"], str) for outcome in again["outcomes"])
        assert len(again["outcomes"]) <= len(event["tasks"])


def test_whatever_a_request_says_it_is_answered_or_refused_in_one_line(alone: list[str]) -> None:
    chance = random.Random(18)
    sound = requests()
    for request in sound[:1]:
        check(request, handler.handle(request, Context))
    answered, refused = 0, 0
    before = dict(os.environ)
    for _ in range(REQUESTS):
        event = mutated(chance.choice(sound), chance)
        count = len(alone)
        try:
            reply = handler.handle(event, Context)
        except fault.Fault as problem:
            refused += 1
            assert len(alone) == count + 1
            text = str(problem)
            assert text.startswith("the worker itself failed: ")
            assert "\n" not in text
            assert len(text) < 1_000
        except NotDone:
            answered += 1
        else:
            answered += 1
            check(event, reply)
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
    assert answered > REQUESTS // 4
    assert refused > REQUESTS // 10
    # What came before has left nothing behind.
    outcomes = opened(handler.handle(sound[0], Context))["outcomes"]
    assert [packing.loads(base64.b64decode(one["value"])) for one in outcomes] == [1, 2, 3]


@pytest.mark.parametrize("event", [None, [], "x", 7, True, [{"protocol": 3}]])
def test_what_is_no_request_at_all_is_refused(alone: list[str], event: Any) -> None:
    with pytest.raises(fault.Fault, match=r"^the worker itself failed: [^\n]+$"):
        handler.handle(event, Context)
    assert alone == ["replaced"]


@pytest.mark.parametrize("event", [{}, {"tasks": []}])
def test_what_is_of_no_version_is_refused(alone: list[str], event: dict[str, Any]) -> None:
    reply = opened(handler.handle(event, Context))
    assert (reply["mismatch"], "must be the same" in reply["error"], alone) == (True, True, [])


class Canary:
    def __reduce__(self) -> Any:
        return (os.environ.__setitem__, ("LITHOPS_MAGIC_CANARY", "ran"))


def test_a_body_from_s3_is_what_was_written_or_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr("lithops_magic.worker.store.time.sleep", lambda _: None)
    chance = random.Random(19)
    hostile = packing.dumps(Canary())
    good = packing.dumps(list(range(200)))
    sound = {"object": "results/1/item", "sha256": hashlib.sha256(good).hexdigest(), "size": len(good)}
    place = store.Store({"bucket": "b", "owner": "1" * 12, "prefix": "results/1/"}, KEY)
    for _ in range(BODIES):
        body = bytearray(good)
        position = chance.randrange(len(body))
        match chance.randrange(5):
            case 0:
                body[position] ^= 1 << chance.randrange(8)
            case 1:
                del body[position:]
            case 2:
                body += chance.randbytes(chance.randrange(1, 99))
            case 3:
                body = bytearray(hostile)
            case _:
                body = bytearray(hostile.ljust(len(good), b"\0")[: len(good)])
        monkeypatch.setattr(place, "_client", lambda body=bytes(body): Holding(body))
        with pytest.raises(store.StoreError):
            functions.fetch(sound, place, "item")
    for name in sound:
        for odd in ODD:
            monkeypatch.setattr(place, "_client", lambda: Holding(hostile))
            with contextlib.suppress(TypeError), pytest.raises(store.StoreError):
                functions.fetch({**sound, name: odd}, place, "item")
    assert "LITHOPS_MAGIC_CANARY" not in os.environ
    monkeypatch.setattr(place, "_client", lambda: Holding(good))
    assert functions.fetch(sound, place, "item") == good
