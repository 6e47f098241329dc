"""The moments after a change in which AWS refuses another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lithops_magic.local.control.pending_states import IN_PROGRESS, PENDING, PendingStates
from lithops_magic.local.model import ServiceError
from lithops_magic.local.names import Account
from localaws import LocalAws, local_command

BUSY = "The operation cannot be performed at this time. "


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a local AWS on which changes never come to an end."""
    folder = tmp_path_factory.mktemp("pending")
    started = local_command(folder, "ensure", "--workers", "2", "--settle", "10000")
    assert started.returncode == 0, started.stderr
    aws = LocalAws(**json.loads(started.stdout), folder=folder)
    yield aws.client("lambda"), aws
    local_command(folder, "stop")


@pytest.fixture
def pending(slow: Any, trust: str, zipped: Callable[..., bytes]) -> str:
    client, aws = slow
    try:
        aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust)
    except aws.client("iam").exceptions.EntityAlreadyExistsException:
        client.delete_function(FunctionName="f")
    reply = client.create_function(
        FunctionName="f",
        Role=f"arn:aws:iam::{aws.account_id}:role/r",
        Runtime="python3.12",
        Handler="app.handler",
        Code={"ZipFile": zipped()},
    )
    assert "LastUpdateStatus" not in reply
    return str(reply["RevisionId"])


CHANGES = {
    "update_function_configuration": {"MemorySize": 256},
    "update_function_code": {"ZipFile": None},
    "publish_version": {},
    "invoke": {},
}


@pytest.mark.parametrize("operation", CHANGES)
def test_a_function_that_is_being_created_is_left_alone(
    slow: Any, pending: str, operation: str, zipped: Callable[..., bytes]
) -> None:
    client, _ = slow
    found = client.get_function_configuration(FunctionName="f")
    assert (found["State"], found["StateReasonCode"], found["RevisionId"]) == ("Pending", "Creating", pending)
    arguments: dict[str, Any] = {**CHANGES[operation]}
    if "ZipFile" in arguments:
        arguments["ZipFile"] = zipped()
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(FunctionName="f", **arguments)
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert answer["Error"]["Code"] == "ResourceConflictException"
    assert answer["Error"]["Message"] == BUSY + "The function is currently in the following state: Pending"


def test_an_update_refuses_changes_and_lets_invocations_through() -> None:
    account = Account("eu-west-1", "123456789012")
    pending_states = PendingStates(account, 10_000)
    pending_states.begin("f", "$LATEST", IN_PROGRESS)
    pending_states.check_invocable("f", "$LATEST")
    with pytest.raises(ServiceError) as caught:
        pending_states.check_changeable("f")
    assert caught.value.message == BUSY + f"An update is in progress for resource: {account.function_arn('f')}"
    pending_states.forget("f")
    pending_states.check_changeable("f")


def test_a_moment_ends() -> None:
    pending_states = PendingStates(Account("eu-west-1", "123456789012"), 0)
    pending_states.begin("f", "$LATEST", PENDING)
    pending_states.check_changeable("f")
    pending_states.check_invocable("f", "$LATEST")
    assert pending_states.status("f", "$LATEST") == {}
