"""Answers that are not the function's own to the request: nothing of them is used, and nothing runs too often."""

from __future__ import annotations

import asyncio
import base64
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lithops_magic
from fault_job import Counted
from fault_kinds import ALTERED, altering
from fault_proxy import FaultProxy, Passage, Play, Rule, name_of
from lithops_magic.config import Settings
from lithops_magic.engine.backend import connection
from lithops_magic.errors import TaskLost

ITEMS = range(14)
RIGHT = [item * item for item in ITEMS]


class Canary:
    """Tells on whoever unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("play", ALTERED, ids=name_of)
def test_an_altered_answer_is_a_lost_attempt(play: Play, proxy: FaultProxy, counted: Callable[[], Counted]) -> None:
    once, again = counted(), counted()
    proxy.reset(Rule(play, most=3))
    result = once.run(ITEMS, chunksize=1, retries=0, workers=8)
    lost = set(result.errors)
    assert len(lost) == proxy.seen[name_of(play)] == 3
    assert {type(error) for error in result.errors.values()} == {TaskLost}
    assert all("not the function's own" in str(error) for error in result.errors.values())
    assert list(result.succeeded().values()) == [item * item for item in ITEMS if item not in lost]
    assert once.executions() == dict.fromkeys(ITEMS, 1)

    proxy.reset(Rule(play, most=3))
    result = again.run(ITEMS, chunksize=1, retries=3, workers=8)
    assert list(result) == RIGHT
    assert result.snapshot().retried == 3
    assert again.executions().total() == len(ITEMS) + 3


@pytest.fixture
def _short_outages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lone task waits for the end of an outage between its attempts; there is none here."""
    monkeypatch.setattr(connection, "OUTAGE", 0.5)


@pytest.mark.usefixtures("_short_outages")
def test_a_stranger_is_not_unpickled(proxy: FaultProxy, account: Settings, tmp_path: Path) -> None:
    canary = base64.b64encode(pickle.dumps(Canary(tmp_path / "sang"))).decode()
    outcome = {"id": 0, "status": "ok", "value": canary, "started": 1.0, "seconds": 1.0, "log": ""}
    error = {"type": "E", "message": "", "frames": [], "cause": None}
    failed = {**outcome, "status": "error", "value": "", "error": error, "exception": canary}

    for told in (outcome, failed):
        reply = {"protocol": 3, "sandbox": "s", "cold": False, "python": "3.11", "outcomes": [told], "seal": "0" * 64}
        proxy.reset(Rule(altering("stranger", lambda _, reply=reply: reply), most=2))  # type: ignore[misc]
        assert list(lithops_magic.map(lambda x: x + 1, [1], settings=account, retries=2)) == [2]
    assert not (tmp_path / "sang").exists()


def test_answers_swapped_between_two_jobs_are_lost_and_not_mistaken(proxy: FaultProxy, account: Settings) -> None:
    waiting: list[tuple[Passage, bytes]] = []

    async def swap(passage: Passage) -> None:
        waiting.append((passage, await passage.forward()))
        while len(waiting) % 2:
            await asyncio.sleep(0.01)
        at = next(i for i, (other, _) in enumerate(waiting) if other is passage)
        await passage.client.send(waiting[at ^ 1][1])
        await asyncio.wait_for(passage.client.reader.read(1), 60)

    assert list(lithops_magic.map(lambda x: x, [1], settings=account)) == [1]
    proxy.reset(Rule(swap, most=2))
    values: dict[str, Any] = {}

    def run(name: str) -> None:
        values[name] = lithops_magic.map(lambda x: f"{name}{x}", range(6), settings=account, chunksize=6, retries=2)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert proxy.seen["swap"] == 2
    assert {name: list(found) for name, found in values.items()} == {
        name: [f"{name}{x}" for x in range(6)] for name in ("a", "b")
    }


@pytest.mark.usefixtures("_short_outages")
def test_an_earlier_answer_to_the_same_task_is_not_taken_for_the_next(proxy: FaultProxy, account: Settings) -> None:
    earlier: list[bytes] = []

    async def replay(passage: Passage) -> None:
        answer = await passage.forward()
        earlier.append(answer)
        if len(earlier) == 1:
            passage.client.reset()
        else:
            await passage.client.send(earlier[0])
            await asyncio.wait_for(passage.client.reader.read(1), 60)

    proxy.reset(Rule(replay, most=2))
    result = lithops_magic.map(lambda x: x + 1, [1], settings=account, retries=2)
    assert list(result) == [2]
    assert result.stats[0].attempts == 3
