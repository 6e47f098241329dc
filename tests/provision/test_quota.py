"""What can run at once, and what a job takes with that."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops_magic.aws.account import quota
from lithops_magic.aws.account.quota import makespan
from lithops_magic.aws.session import Cloud
from lithops_magic.cli import quota as command
from lithops_magic.cli.main import main


@pytest.mark.parametrize(
    ("tasks", "seconds", "workers", "expected"),
    [
        (1, 5, 1000, 5),
        (7, 1, 3, 3),
        (1000, 2, 1000, 2),
        (10_000, 2, 1000, 20),
        # 1,000 at once and 1,000 after ten seconds: 2,000 have begun at 10, and the last of them end at 40.
        (2000, 30, 2000, 40),
        # The first thousand does two each before the second thousand could do one.
        (2000, 4, 5000, 8),
        (0, 5, 10, 0),
        (10, 0, 10, 0),
    ],
)
def test_how_long_a_job_takes_at_least(tasks: int, seconds: float, workers: int, expected: float) -> None:
    assert makespan(tasks, seconds, workers) == pytest.approx(expected, rel=1e-4)


def simulated(tasks: int, seconds: float, workers: int, ramp: int) -> float:
    """Give each task in turn to the sandbox that is free first."""
    free = [10.0 * (number // ramp) for number in range(min(workers, tasks))]
    for _ in range(tasks):
        first = min(range(len(free)), key=lambda number: free[number])
        free[first] += seconds
    return max(end for number, end in enumerate(free) if end > 10.0 * (number // ramp))


@given(st.integers(1, 60), st.sampled_from([0.5, 1.0, 3.0, 7.0, 25.0]), st.integers(1, 40), st.integers(1, 20))
def test_it_is_what_a_simulation_takes(tasks: int, seconds: float, workers: int, ramp: int) -> None:
    assert math.isclose(
        makespan(tasks, seconds, workers, ramp=ramp), simulated(tasks, seconds, workers, ramp), rel_tol=1e-4
    )


def test_the_command_on_the_local_aws(local_aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quota", "--local", "--tasks", "1000", "--seconds", "0.5"]) == 0
    out = capsys.readouterr().out
    assert local_aws.endpoint_url in out
    assert "lithops-magic local --workers" in out
    assert "A job of 1,000 tasks of 0.5 s: at least " in out
    assert "free here" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "3"], "--tasks and --seconds go together"),
        (["--seconds", "3"], "--tasks and --seconds go together"),
        (["--tasks", "0", "--seconds", "1"], "--tasks must be above 0, not 0"),
        (["--tasks", "1", "--seconds", "nan"], "--seconds must be above 0"),
        (["--workers", "-1"], "--workers must be above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quota", "--local", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_on_an_account_it_names_the_quota_and_where_to_have_more(account: Cloud, capsys: Any) -> None:
    found = quota.read(account)
    assert found.unreserved <= found.account
    assert found.used == 0
    rows = dict(command._rows(account, found))
    assert rows["used now"] == "0 at most in the last 5 minutes"
    assert "L-B99A9384" in rows["to raise it"]
    assert "https://us-east-1.console.aws.amazon.com/servicequotas/" in rows["to raise it"]
