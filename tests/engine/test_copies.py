"""A function that is deployed several times: AWS starts sandboxes for each by itself, the user sees one."""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lithops_magic
from lithops_magic.aws import observe
from lithops_magic.aws.definition import FUNCTION_HASH, creation_request, original, start_of_names
from lithops_magic.aws.deploy import create, function
from lithops_magic.aws.deploy.function import delete_functions, list_functions
from lithops_magic.aws.invoke.outcomes import Throttle
from lithops_magic.aws.session import Cloud
from lithops_magic.engine.backend import aws_lambda, copies, limiter, replay
from lithops_magic.engine.backend.allowance import Allowance, FunctionCopy
from lithops_magic.engine.durable.history import JobHistory
from lithops_magic.errors import DeployError
from localaws import LocalAws

Settings = lithops_magic.Settings


def test_a_job_gets_as_many_functions_as_it_is_worth() -> None:
    assert copies.wanted(None, 1_000_000) == 1
    assert copies.wanted(1000, None) == 1
    assert copies.wanted(1001, None) == 2
    assert copies.wanted(10_000, None) == 10
    assert copies.wanted(10_000, 50) == 1
    assert copies.wanted(10_000, 2500) == 3
    assert copies.wanted(10_000, 0) == 1
    assert copies.wanted(10**9, None) == copies.MAX_COPIES


def test_copies_differ_in_their_names_only() -> None:
    settings, role = Settings(local=True, namespace="n"), "arn:aws:iam::123456789012:role/r"
    first, *others = (creation_request(settings, role, b"zip", copy) for copy in range(30))
    names = [one["FunctionName"] for one in (first, *others)]
    assert len(set(names)) == 30
    assert all(re.fullmatch(re.escape(start_of_names(settings)) + f"[0-9a-f]{{{FUNCTION_HASH}}}", one) for one in names)
    assert names[0] == creation_request(settings, role, b"zip")["FunctionName"]
    for one in others:
        assert original(one["FunctionName"], one["Description"]) == names[0]
        assert {**one, "FunctionName": "", "Description": ""} == {**first, "FunctionName": "", "Description": ""}
    assert original(names[0], first["Description"]) == names[0]
    assert original(names[0], "Runs tasks of lithops-magic: copy x of y") is None
    assert original(names[0], "mine") is None


class Account:
    """AWS with a quota for each function and one for the account, in time that only passes when it is told."""

    def __init__(self, functions: int, concurrency: int) -> None:
        self.bucket = [float(limiter.BURST)] * functions
        self.idle = [0] * functions
        self.running = [0] * functions
        self.concurrency = concurrency
        self.refused = 0

    def tick(self, seconds: float) -> None:
        self.bucket = [min(limiter.BURST, level + seconds * limiter.SCALING) for level in self.bucket]

    def takes(self, number: int) -> bool:
        if self.idle[number]:
            self.idle[number] -= 1
        elif self.bucket[number] >= 1 and sum(self.running) + sum(self.idle) < self.concurrency:
            self.bucket[number] -= 1
        else:
            self.refused += 1
            return False
        self.running[number] += 1
        return True

    def ends(self, number: int) -> None:
        self.running[number] -= 1
        self.idle[number] += 1


def simulate(
    account: Account, allowance: Allowance, tasks: int, ticks: Callable[[], int], step: float = 0.1
) -> tuple[float, int]:
    """Run tasks that last a number of ticks; return when all were done, and the most that ran at once."""
    now, most, running = 100.0, 0, dict[int, list[FunctionCopy]]()
    tick = 0
    while tasks or running:
        for copy in running.pop(tick, []):
            copy.in_flight -= 1
            account.ends(copy.number)
            allowance.accepted(copy)
        while tasks and not allowance.pause(now) and allowance.in_flight < allowance.allowed(now):
            sent = []
            while tasks and allowance.in_flight < allowance.allowed(now):
                sent.append(allowance.take(now))
                tasks -= 1
            allowance.filled(now, tasks > 0)
            for copy in sent:
                if account.takes(copy.number):
                    running.setdefault(tick + ticks(), []).append(copy)
                else:
                    tasks += 1
                    copy.in_flight -= 1
                    allowance.throttled(copy, now, full=True)
        allowance.filled(now, tasks > 0)
        most = max(most, sum(account.running))
        account.tick(step)
        now, tick = now + step, tick + 1
        assert now < 10_000, "it does not end"
    return now - 100.0, most


def test_each_copy_brings_its_own_thousand() -> None:
    one, _ = simulate(Account(1, 10_000), Allowance(10_000, 1), 20_000, lambda: 50)
    account = Account(10, 10_000)
    ten, most = simulate(account, Allowance(10_000, 10), 20_000, lambda: 50)
    assert most == 10_000
    assert account.refused == 0
    assert ten == pytest.approx(10, abs=0.3)
    assert one > 2 * ten


def test_a_full_account_is_used_and_hardly_asked_in_vain() -> None:
    account = Account(10, 3500)
    seconds, most = simulate(account, Allowance(10_000, 10), 35_000, lambda: 30)
    assert most == 3500
    assert seconds <= 33  # ten rounds of 3 s, and the last probes
    # What the account does not have is asked for once, and then now and then by one copy after the other.
    assert account.refused < 6500 + 60 * seconds


def test_a_copy_that_never_gets_a_sandbox_costs_little() -> None:
    account = Account(3, 10_000)
    account.bucket[0] = -1e9  # its reserved concurrency is 0
    seconds, most = simulate(account, Allowance(3000, 3), 6000, lambda: 20)
    assert most >= 2000
    assert seconds < 8
    assert account.refused < 1000 + 40 * seconds


@given(
    st.integers(1, 6),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 300),
    st.lists(st.integers(1, 20), min_size=1),
)
def test_every_task_runs_and_no_more_than_allowed(
    functions: int, most: int, concurrency: int, tasks: int, durations: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limiter, "BURST", 10)
        patch.setattr(limiter, "SCALING", 1.0)
        dice = iter(durations * 10_000)
        account = Account(functions, concurrency)
        _, ran = simulate(account, Allowance(most, functions), tasks, lambda: next(dice))
        assert sum(account.running) == 0
        assert ran <= min(most, concurrency)


def test_sandboxes_at_leisure_are_used_before_new_ones_are_started() -> None:
    allowance = Allowance(4000, 4)
    sent = [allowance.take(0.0) for _ in range(2500)]
    assert Counter(copy.number for copy in sent) == {0: 1000, 1: 1000, 2: 500}
    for copy in sent:
        copy.in_flight -= 1
        allowance.accepted(copy)
    for copy in sent[:1500]:
        copy.in_flight += 1
    assert allowance.take(1.0).number == 1
    assert Counter(allowance.take(1.0).number for _ in range(998)) == {1: 499, 2: 499}


def test_events_are_spread_evenly() -> None:
    allowance = Allowance(3000, 3)
    assert Counter(allowance.take(0.0, evenly=True).number for _ in range(9)) == {0: 3, 1: 3, 2: 3}


def test_what_is_about_the_caller_is_about_every_copy() -> None:
    assert Throttle("CallerRateLimitExceeded: Rate Exceeded.").of_caller
    assert not Throttle("ReservedFunctionConcurrentInvocationLimitExceeded: Rate Exceeded.").of_caller
    allowance = Allowance(2000, 2)
    sent = [allowance.take(1.0) for _ in range(1500)]
    allowance.filled(1.0, True)
    sent[0].in_flight -= 1
    allowance.throttled(sent[0], 1.0, full=False)
    assert allowance.pause(1.0) == 0  # the other one goes on
    assert allowance.allowed(1.0) == 2000 - 1
    allowance.throttled(None, 1.0, full=False)
    assert allowance.pause(1.0) > 0


def test_in_an_outage_one_invocation_of_all_copies_is_sent_at_a_time() -> None:
    allowance = Allowance(3000, 3)
    sent = [allowance.take(1.0) for _ in range(3000)]
    allowance.filled(1.0, True)
    for copy in sent:
        copy.in_flight -= 1
        allowance.setback(copy, 1.0)
    later = 1.0 + 60
    assert not allowance.pause(later)
    assert allowance.allowed(later) == 1
    probe = allowance.take(later)
    assert allowance.allowed(later) == 1
    probe.in_flight -= 1
    allowance.accepted(probe)
    assert allowance.allowed(later) > 1000


def test_a_job_is_hopeless_only_if_nothing_of_it_runs() -> None:
    for functions in (1, 3):
        allowance = Allowance(3000, functions)
        sent = [allowance.take(1.0) for _ in range(2)]
        sent[0].in_flight -= 1
        allowance.throttled(sent[0], 1.0, full=True)
        assert not allowance.stalled(1.0 + 2 * limiter.PATIENCE)  # one has run for ten minutes, why not
        sent[1].in_flight -= 1
        allowance.throttled(sent[1], 1.0 + 2 * limiter.PATIENCE, full=True)
        assert allowance.stalled(1.0 + 2 * limiter.PATIENCE)


class Sender:
    """A copy of the function that answers nothing."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, payload: bytes, done: Any) -> None:
        self.sent.append(payload)

    def close(self) -> None:
        pass


def test_a_resumed_job_invokes_the_copies_as_well() -> None:
    first, second = Sender(), Sender()

    def rest(_: replay.Replay, request: replay.AwaitedRequest, why: str) -> None:
        request.sender.send(request.payload, request.done)

    one = replay.Replay(JobHistory(total=2), None, lambda: 0.0, first, rest, "")
    one.send(b'{"tasks":[{"id":0}]}', print)
    replay.CopyReplay(one, second).send(b'{"tasks":[{"id":1}]}', print)
    assert first.sent == [b'{"tasks":[{"id":0}]}']
    assert second.sent == [b'{"tasks":[{"id":1}]}']


# In real jobs on the local AWS, where a function is worth one sandbox only: three of them stay beside each other.


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "BURST", 1)


@pytest.fixture
def settings(local_aws: LocalAws, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """A namespace of the test's own, whose functions are deleted in the end."""
    name = re.sub(r"\W", "", request.node.name)[5:25]
    settings = Settings(local=True, namespace=name.replace("_", "-").strip("-"))
    yield settings
    delete_functions(Cloud.connect(settings), settings)


@pytest.fixture(scope="module")
def shared(local_aws: LocalAws) -> Iterator[Settings]:
    """A namespace whose functions, and their sandboxes, are there for several tests."""
    settings = Settings(local=True, namespace="shared-copies")
    yield settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITHOPS_MAGIC_LOCAL_DIR", str(local_aws.folder))
        delete_functions(Cloud.connect(settings), settings)


def where(_: int) -> str:
    time.sleep(0.2)
    return os.environ["AWS_LAMBDA_FUNCTION_NAME"]


def run(settings: Settings, items: int = 6, **options: Any) -> lithops_magic.MapResult[str]:
    given = {"workers": 3, "chunksize": 1, **options}
    result = lithops_magic.map(where, range(items), settings=settings, **given)
    assert result.wait(120)
    return result


def names(settings: Settings) -> list[str]:
    return [name for one in list_functions(Cloud.connect(settings), settings) for name in (one.name, *one.copies)]


def test_invocations_are_spread_over_functions_that_count_as_one(small: None, shared: Settings, capsys: Any) -> None:
    result = run(shared)
    assert len(set(result.values())) == 3
    (listed,) = list_functions(Cloud.connect(shared), shared)
    assert sorted((listed.name, *listed.copies)) == sorted(set(result.values()))
    assert listed.label == f"{listed.name} × 3"
    assert set(aws_lambda.deployed_here()) >= set(result.values())
    # What a new process does not know it has read.
    aws_lambda._deployments.clear()
    seen: list[str] = []

    def see(operation: str, _: Any) -> None:
        seen.append(operation)

    observe.add(see)
    try:
        assert set(run(shared).values()) == set(result.values())
    finally:
        observe.remove(see)
    assert {one for one in seen if one.startswith("lambda.")} <= {"lambda.Invoke"}
    # Few tasks need no copies, and use none.
    assert set(run(shared, items=1).values()) == {listed.name}
    assert delete_functions(Cloud.connect(shared), shared) == [f"{listed.name} × 3"]
    assert names(shared) == []


def test_there_are_no_more_copies_than_the_account_is_worth(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It has 107 sandboxes, of which other tests may have reserved seven.
    monkeypatch.setattr(limiter, "BURST", 60)
    result = lithops_magic.map(abs, (x for x in (-1, 2)), settings=settings, workers=300)
    assert result.values() == [1, 2]
    assert len(names(settings)) == 2


def test_a_copy_that_is_gone_is_deployed_again(small: None, shared: Settings, local_aws: LocalAws) -> None:
    run(shared)
    (listed,) = list_functions(Cloud.connect(shared), shared)
    local_aws.client("lambda").delete_function(FunctionName=listed.copies[0])
    (less,) = list_functions(Cloud.connect(shared), shared)
    assert (less.name, less.copies) == (listed.name, listed.copies[1:])
    result = run(shared)
    assert len(result.values()) == 6
    assert sorted(names(shared)) == sorted((listed.name, *listed.copies))
    local_aws.client("lambda").delete_function(FunctionName=listed.name)
    (left,) = list_functions(Cloud.connect(shared), shared)
    assert sorted((left.name, *left.copies)) == sorted(listed.copies)


def test_the_job_goes_on_without_copies_that_are_refused(
    small: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(cloud: Cloud, request: Any, notify: Any) -> None:
        if ": copy 2 of" in request["Description"]:
            raise DeployError("Code storage limit exceeded.", code="CodeStorageExceededException")
        create.create(cloud, request, notify)

    with monkeypatch.context() as patch:
        patch.setattr(function, "create", refuse)
        result = run(settings)
    assert len(set(result.values())) == 2
    (note,) = [note for note in result.snapshot().notes if "copies" in note]
    assert note == (
        "1 of 2 copies of the function could not be deployed, and sandboxes start more slowly: "
        "Code storage limit exceeded."
    )
    # A new process tries again.
    aws_lambda._deployments.clear()
    assert len(set(run(settings).values())) == 3


def test_a_copy_with_no_reserved_concurrency_keeps_nobody_waiting(
    small: None, shared: Settings, local_aws: LocalAws
) -> None:
    run(shared)
    (listed,) = list_functions(Cloud.connect(shared), shared)
    client = local_aws.client("lambda")
    client.put_function_concurrency(FunctionName=listed.copies[0], ReservedConcurrentExecutions=0)
    try:
        result = run(shared)
    finally:
        client.delete_function_concurrency(FunctionName=listed.copies[0])
    assert listed.copies[0] not in set(result.values())
    assert len(result.values()) == 6


def test_a_detached_job_is_spread_as_well(small: None, shared: Settings) -> None:
    result = run(shared, detach=True)
    assert len(set(result.values())) == 3


def test_a_cell_is_spread_and_cleaned_like_one(
    small: None, local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    (tmp_path / ".lithops_config").write_text("aws_lambda:\n  local: true\n  namespace: copied\n")
    monkeypatch.chdir(tmp_path)
    settings = Settings(local=True, namespace="copied")
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "lithops_magic")
    try:
        cell = "import os, time\ntime.sleep(0.2)\nos.environ['AWS_LAMBDA_FUNCTION_NAME']"
        line = "%%lambda_map x in range(6) -o names --workers 3 --chunksize 1 --quiet"
        with capture_output():
            assert shell.run_cell(f"{line}\n{cell}").success
        assert len(set(shell.user_ns["names"])) == 3
        with capture_output() as shown:
            shell.run_cell("%lambda_status")
        assert "× 3" in shown.stdout + json.dumps([one.data for one in shown.outputs], ensure_ascii=False)
        with capture_output() as planned:
            shell.run_cell(f"{line} --dry-run\n{cell}")
        assert "with up to 2 copies, for 3 workers" in planned.stdout + str([one.data for one in planned.outputs])
        with capture_output() as said:
            shell.run_cell("%lambda_clean --yes")
        assert "Deleted 1 function (" in said.stdout + str([one.data for one in said.outputs])
        assert names(settings) == []
    finally:
        delete_functions(Cloud.connect(settings), settings)
