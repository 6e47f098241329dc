"""Functions that invoke functions: who waits for whom, and where that ends."""

from __future__ import annotations

from typing import Any

import pytest

from lithops_magic.local.control import chain
from lithops_magic.local.control.invoke import ConcurrencyCounter
from lithops_magic.local.model import ServiceError
from lithops_magic.local.sandbox.runtime_api import trace_id


class Registry:
    def reserved_concurrency(self, name: str) -> int | None:
        return 1 if name == "reserved" else None


@pytest.mark.parametrize(
    ("headers", "depth"),
    [
        ({}, 0),
        ({"user-agent": "Boto3/1 exec-env/AWS_Lambda_python3.11"}, 1),
        ({"user-agent": "Boto3/1", "x-amzn-trace-id": "Root=1-2-3;Parent=4;Sampled=0"}, 0),
        ({"user-agent": "Boto3/1 exec-env/AWS_Lambda_python3.11", "x-amzn-trace-id": trace_id(0)}, 1),
        ({"x-amzn-trace-id": trace_id(4)}, 5),
        ({"x-amzn-trace-id": "Root=1;Lineage=nonsense"}, 0),
    ],
)
def test_how_many_wait_is_in_what_the_sdk_sends_along(headers: dict[str, str], depth: int) -> None:
    assert chain.depth(headers) == depth


def test_what_is_waited_for_takes_none_of_the_accounts_concurrency() -> None:
    registry: Any = Registry()
    slots: Any = ConcurrencyCounter(registry, 1)
    with slots.slot("f"), slots.slot("f", waited_for=True), slots.slot("g", waited_for=True):
        with pytest.raises(ServiceError) as caught:
            slots.slot("f").__enter__()
        assert caught.value.members["Reason"] == "ConcurrentInvocationLimitExceeded"
    with slots.slot("f"), slots.slot("reserved", waited_for=True):
        # What somebody has reserved is all there is.
        with pytest.raises(ServiceError) as caught:
            slots.slot("reserved", waited_for=True).__enter__()
        assert caught.value.members["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_a_chain_ends_after_sixteen_unless_the_function_allows_it() -> None:
    for depth in (0, 15):
        chain.check(depth, "Terminate")
    chain.check(99, "Allow")
    with pytest.raises(ServiceError) as caught:
        chain.check(16, "Terminate")
    assert (caught.value.code, caught.value.status) == ("RecursiveInvocationException", 400)
