"""Tags, concurrency, event-invoke configurations, policies and account settings through plain boto3."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

Create = Callable[..., dict[str, Any]]
Zip = Callable[..., bytes]


def test_tags_come_and_go(lam: Any, create: Create) -> None:
    reply = create(Tags={"a": "1"})
    arn, name = reply["FunctionArn"], reply["FunctionName"]
    lam.tag_resource(Resource=arn, Tags={"b": "2", "née:key/=+-@": "Ünïcode"})
    assert lam.list_tags(Resource=arn)["Tags"] == {"a": "1", "b": "2", "née:key/=+-@": "Ünïcode"}
    lam.untag_resource(Resource=arn, TagKeys=["a", "née:key/=+-@", "never"])
    assert lam.get_function(FunctionName=name)["Tags"] == {"b": "2"}
    lam.untag_resource(Resource=arn, TagKeys=["b"])
    assert "Tags" not in lam.get_function(FunctionName=name)


def test_fifty_tags_are_the_most(lam: Any, create: Create) -> None:
    arn = create(Tags={f"key{number}": "" for number in range(50)})["FunctionArn"]
    lam.tag_resource(Resource=arn, Tags={"key0": "again"})
    with pytest.raises(
        lam.exceptions.InvalidParameterValueException, match="Number of tags exceeds resource tag limit"
    ):
        lam.tag_resource(Resource=arn, Tags={"one": "more"})
    with pytest.raises(
        lam.exceptions.InvalidParameterValueException, match="Number of tags exceeds resource tag limit"
    ):
        create(Tags={f"key{number}": "" for number in range(51)})


def test_only_functions_that_exist_are_tagged(lam: Any, create: Create) -> None:
    arn = create()["FunctionArn"]
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="Please specify a function ARN"):
        lam.tag_resource(Resource=f"{arn}:$LATEST", Tags={"a": "1"})
    with pytest.raises(lam.exceptions.ResourceNotFoundException, match="Function not found: arn:aws:lambda"):
        lam.list_tags(Resource=f"{arn}-not")
    with pytest.raises(lam.exceptions.ClientError, match="ValidationException"):
        lam.list_tags(Resource="arn:aws:s3:::bucket")


def test_reserved_concurrency(lam: Any, create: Create) -> None:
    name = create()["FunctionName"]
    limit = lam.get_account_settings()["AccountLimit"]
    total, unreserved = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    assert "ReservedConcurrentExecutions" not in lam.get_function_concurrency(FunctionName=name)
    assert (
        lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=7)["ReservedConcurrentExecutions"]
        == 7
    )
    assert lam.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 7
    assert lam.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 7}
    assert lam.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == unreserved - 7
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match=r"below its minimum value of \[100\]"):
        lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=total - 99)
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert lam.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 0
    assert lam.delete_function_concurrency(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "Concurrency" not in lam.get_function(FunctionName=name)


def test_concurrency_is_reserved_for_whole_functions(lam: Any, create: Create) -> None:
    name = create(Publish=True)["FunctionName"]
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="permitted on Lambda functions only"):
        lam.put_function_concurrency(FunctionName=f"{name}:1", ReservedConcurrentExecutions=1)
    with pytest.raises(lam.exceptions.ResourceNotFoundException, match=r"-not:\$LATEST"):
        lam.put_function_concurrency(FunctionName=f"{name}-not", ReservedConcurrentExecutions=1)


def test_event_invoke_configuration(lam: Any, create: Create) -> None:
    reply = create(Publish=True)
    name = reply["FunctionName"]
    put = lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    assert put["FunctionArn"] == f"{reply['FunctionArn']}:$LATEST"
    assert abs(datetime.now(UTC) - put["LastModified"]) < timedelta(minutes=5)
    assert (put["MaximumRetryAttempts"], put["DestinationConfig"]) == (0, {"OnSuccess": {}, "OnFailure": {}})
    updated = lam.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (0, 60)
    lam.put_function_event_invoke_config(FunctionName=name, Qualifier="1", MaximumRetryAttempts=1)
    pages = lam.get_paginator("list_function_event_invoke_configs").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 1}
    )
    retries = [item["MaximumRetryAttempts"] for page in pages for item in page["FunctionEventInvokeConfigs"]]
    assert retries == [0, 1]
    replaced = lam.put_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=90)
    assert "MaximumRetryAttempts" not in replaced
    lam.delete_function_event_invoke_config(FunctionName=name)
    with pytest.raises(lam.exceptions.ResourceNotFoundException, match="doesn't have an EventInvokeConfig"):
        lam.get_function_event_invoke_config(FunctionName=name)
    assert lam.get_function_event_invoke_config(FunctionName=name, Qualifier="1")["MaximumRetryAttempts"] == 1


def test_bad_event_invoke_configurations(lam: Any, create: Create) -> None:
    name = create()["FunctionName"]
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="at least one of error handling"):
        lam.put_function_event_invoke_config(FunctionName=name)
    with pytest.raises(lam.exceptions.ResourceNotFoundException, match="The function doesn't exist"):
        lam.put_function_event_invoke_config(FunctionName=name, Qualifier="nowhere", MaximumRetryAttempts=1)
    with pytest.raises(lam.exceptions.ResourceNotFoundException, match="doesn't have an EventInvokeConfig"):
        lam.update_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    with pytest.raises(lam.exceptions.ClientError, match="less than or equal to 2"):
        lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=3)


def test_account_settings_count_functions_and_code(lam: Any, create: Create, zipped: Zip) -> None:
    before = lam.get_account_settings()
    package = zipped({"app.py": "#" * 1000})
    name = create(Code={"ZipFile": package})["FunctionName"]
    one = lam.get_account_settings()["AccountUsage"]
    assert one["FunctionCount"] == before["AccountUsage"]["FunctionCount"] + 1
    assert one["TotalCodeSize"] == before["AccountUsage"]["TotalCodeSize"] + len(package)
    lam.publish_version(FunctionName=name)
    assert lam.get_account_settings()["AccountUsage"]["TotalCodeSize"] == one["TotalCodeSize"] + len(package)
    limits = before["AccountLimit"]
    assert (limits["CodeSizeUnzipped"], limits["CodeSizeZipped"]) == (262_144_000, 52_428_800)


def test_resource_policy(lam: Any, create: Create) -> None:
    name = create()["FunctionName"]
    with pytest.raises(lam.exceptions.ResourceNotFoundException):
        lam.get_policy(FunctionName=name)
    statement = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    added = lam.add_permission(FunctionName=name, **statement, SourceAccount="123456789012")
    policy = lam.get_policy(FunctionName=name)
    assert json.loads(policy["Policy"])["Statement"] == [json.loads(added["Statement"])]
    with pytest.raises(lam.exceptions.ResourceConflictException, match=r"statement id \(s3\) provided already exists"):
        lam.add_permission(FunctionName=name, **statement)
    with pytest.raises(lam.exceptions.PreconditionFailedException):
        lam.remove_permission(FunctionName=name, StatementId="s3", RevisionId="stale")
    lam.remove_permission(FunctionName=name, StatementId="s3", RevisionId=policy["RevisionId"])
    with pytest.raises(lam.exceptions.ResourceNotFoundException):
        lam.get_policy(FunctionName=name)
