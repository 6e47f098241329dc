"""Faults between the client and S3: a large value arrives as it was written, or is not unpickled at all."""

from __future__ import annotations

import random
import re

import pytest

import lithops_magic
from fault_kinds import answering, half_body, half_head, no_answer, reset_after_execution, response, slow_drip
from fault_proxy import FaultProxy, Passage, Play, Rule, name_of
from lithops_magic.config import Settings
from lithops_magic.engine import MapResult
from lithops_magic.errors import ItemError, TamperedError

SIZE = 7_000_000
"""Bytes: more than a reply holds."""
VALUE = re.compile(rb"GET /\S+/value-1-")
UPLOAD = re.compile(rb"PUT /\S+/objects/")
BUSY = answering("503 SlowDown", response(503))


def expected(seed: int) -> bytes:
    return random.Random(seed).randbytes(SIZE)


def large_values(account: Settings) -> MapResult:
    def value(seed: int) -> bytes:
        return random.Random(seed).randbytes(7_000_000)

    settings = account.replace(timeout=60, memory=512)
    result = lithops_magic.map(value, range(3), settings=settings, retries=0, workers=2, background=True)
    assert result.wait(120)
    return result


def large_items(account: Settings) -> tuple[list[bytes], MapResult]:
    items = [random.randbytes(SIZE) for _ in range(2)]
    settings = account.replace(timeout=60, memory=512)
    result = lithops_magic.map(
        lambda item: item[-3:], items, settings=settings, retries=0, workers=2, errors="keep", background=True
    )
    assert result.wait(120)
    return items, result


@pytest.mark.parametrize("play", [BUSY, no_answer, reset_after_execution, half_head, half_body, slow_drip], ids=name_of)
def test_a_value_is_fetched_again_without_running_its_task_again(
    play: Play, proxy: FaultProxy, account: Settings
) -> None:
    proxy.reset(Rule(play, most=1, match=VALUE))
    assert list(large_values(account)) == [expected(seed) for seed in range(3)]
    assert proxy.seen[name_of(play)] == 1


async def altered(passage: Passage) -> None:
    answer = await passage.forward()
    await passage.client.send(answer[:-1] + bytes([answer[-1] ^ 1]))


def test_a_value_that_was_altered_on_its_way_is_not_unpickled(proxy: FaultProxy, account: Settings) -> None:
    proxy.reset(Rule(altered, match=VALUE))
    result = large_values(account)
    assert {index: type(error) for index, error in result.errors.items()} == {1: TamperedError}
    assert "was not unpickled" in str(result.errors[1])
    assert list(result.succeeded().values()) == [expected(0), expected(2)]


@pytest.mark.parametrize("play", [BUSY, no_answer, reset_after_execution, half_head], ids=name_of)
def test_a_large_item_is_uploaded_again(play: Play, proxy: FaultProxy, account: Settings) -> None:
    proxy.reset(Rule(play, most=1, match=UPLOAD))
    items, result = large_items(account)
    assert list(result) == [item[-3:] for item in items]
    assert proxy.seen[name_of(play)] == 1


async def altered_request(passage: Passage) -> None:
    request = await passage.request()
    await passage.client.send(await passage.forward(request[:-1] + bytes([request[-1] ^ 1])))


def test_an_item_that_was_altered_on_its_way_fails_alone(proxy: FaultProxy, account: Settings) -> None:
    proxy.reset(Rule(altered_request, most=1, match=UPLOAD))
    items, result = large_items(account)
    ((index, error),) = result.errors.items()
    assert type(error) is ItemError
    assert "SHA256" in str(error)
    assert "\n" not in str(error)
    assert list(result.succeeded().values()) == [items[1 - index][-3:]]
