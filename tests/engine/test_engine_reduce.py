from __future__ import annotations

import threading
from typing import Any

import pytest

import lithops_magic
from lithops_magic.errors import BudgetSpent, JobCancelled, MisuseError, RemoteError, SerializationError
from localaws import LocalAws
from recording import record_no_job

pytestmark = pytest.mark.usefixtures("local_aws")


def invocations(local_aws: LocalAws) -> Any:
    return local_aws.requests().get("lambda:Invoke", 0)


def test_the_values_are_reduced_on_lambda_in_their_order() -> None:
    def describe(values: Any) -> Any:
        import os

        return values, "AWS_LAMBDA_FUNCTION_NAME" in os.environ

    result = lithops_magic.map(lambda n: n * n, range(20), reduce=describe)
    assert result.reduced == ([n * n for n in range(20)], True)
    assert len(result) == 20
    assert result.cost > result.snapshot().cost + result.snapshot().request_cost


def test_a_background_job_is_reduced_behind_the_users_back() -> None:
    result = lithops_magic.map(lambda n: n, range(5), reduce=sum, background=True)
    assert result.reduced == 10


def test_nothing_is_reduced_unless_every_task_succeeded(local_aws: LocalAws) -> None:
    result = lithops_magic.map(lambda n: 1 / n, range(3), reduce=sum, errors="keep", chunksize=3)
    with pytest.raises(JobCancelled, match="`sum` was not called"):
        result.reduced  # noqa: B018
    started = invocations(local_aws)
    assert result._reduction is not None
    assert result._reduction.result is None
    stopped = lithops_magic.map(lambda n: n, range(3), reduce=sum, background=True)
    stopped.cancel()
    with pytest.raises(JobCancelled):
        stopped.reduced  # noqa: B018
    assert invocations(local_aws) - started <= 3


def test_a_reduction_that_fails_is_raised_and_leaves_the_values() -> None:
    def fail(values: Any) -> Any:
        return values["a"]

    with pytest.raises(
        TypeError, match=r"The task failed with TypeError at .*test_engine_reduce.py, line \d+"
    ) as caught:
        lithops_magic.map(lambda n: n, range(3), reduce=fail)
    assert isinstance(caught.value, RemoteError)
    result = lithops_magic.map(lambda n: n, range(3), reduce=fail, background=True)
    assert result.wait(120)
    assert list(result) == [0, 1, 2]
    with pytest.raises(TypeError):
        result.reduced  # noqa: B018


def test_a_reduction_that_cannot_be_sent_is_told_before_anything_is(
    local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_no_job(monkeypatch)
    lock = threading.Lock()
    before = local_aws.requests()
    with pytest.raises(SerializationError, match="uses 'lock'"):
        lithops_magic.map(lambda n: n, range(3), reduce=lambda values: lock)
    assert local_aws.requests() == before


def test_a_reduction_has_what_is_left_of_the_budget() -> None:
    with pytest.raises(BudgetSpent, match="`sum` was not called: the values have cost"):
        lithops_magic.map(lambda n: n, range(3), chunksize=3, reduce=sum, max_cost=1e-9)


def test_without_a_reduction_there_is_nothing_to_ask_for() -> None:
    result = lithops_magic.map(lambda n: n, range(2))
    with pytest.raises(MisuseError, match="start it with reduce=FUNCTION"):
        result.reduced  # noqa: B018
