"""Answers over HTTP that are spoilt anywhere: every task ends, none runs too often, and no value is another."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from fault_fetches import fetch
from fault_job import Counted
from fault_kinds import mutated, mutating
from fault_proxy import FaultProxy, Rule
from lithops_magic.aws.session import Cloud
from lithops_magic.aws.storage import retries
from lithops_magic.aws.storage.objects import ObjectStore
from lithops_magic.config import Settings
from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import AwsError

ANSWERS = 60
"""Jobs of this size; `benchmarks/chaos.py` has thousands."""
FETCHES = 250


def test_a_job_over_spoilt_answers_ends_with_what_is_right(proxy: FaultProxy, counted: Callable[[], Counted]) -> None:
    once, again = counted(), counted()
    proxy.reset(Rule(mutating(1), rate=0.5), seed=1)
    result = once.run(range(ANSWERS), chunksize=1, retries=0, workers=8)
    assert proxy.seen["mutated"] > ANSWERS / 4
    assert result.error is None
    assert len(result.succeeded()) + len(result.errors) == ANSWERS
    assert all(value == index * index for index, value in result.succeeded().items())
    assert not [error for error in result.errors.values() if "\n" in str(error)]

    proxy.reset(Rule(mutating(2), rate=0.3), seed=2)
    result = again.run(range(ANSWERS), chunksize=1, retries=9, workers=8)
    proxy.reset()
    assert list(result) == [item * item for item in range(ANSWERS)]
    assert max(once.executions().values()) == 1
    assert max(again.executions().values()) <= 10


# urllib3 leaves a socket to the garbage collector where headers cannot be read.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_value_is_fetched_right_or_not_at_all(
    proxy: FaultProxy, account: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "SECONDS", -1.0)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    found = fetch(proxy, account, FETCHES)
    assert set(found) == {"right", "refused"}
    assert min(found.values()) > FETCHES / 10
    assert proxy.seen["mutated"] > FETCHES / 4


def test_a_reference_without_a_hash_is_refused(account: Settings) -> None:
    place = Place.of_job(ObjectStore(Cloud.connect(account), account), "fuzz")
    reference = place.upload(b"value")
    assert place.download(reference) == b"value"
    with pytest.raises(AwsError, match="is not what was written there"):
        place.download({**reference, "sha256": None})


def test_spoiling_spoils() -> None:
    chance = random.Random(5)
    answer = b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId: 1\r\nContent-Length: 2\r\n\r\n{}"
    assert sum(mutated(answer, chance) != answer for _ in range(100)) > 80
