"""Versions and aliases through plain boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Create = Callable[..., dict[str, Any]]
Zip = Callable[..., bytes]


def test_publish_freezes_latest(lam: Any, create: Create, zipped: Zip) -> None:
    reply = create(Timeout=5)
    name, arn = reply["FunctionName"], reply["FunctionArn"]
    first = lam.publish_version(FunctionName=name, Description="one")
    assert (first["Version"], first["FunctionArn"], first["Description"]) == ("1", f"{arn}:1", "one")
    assert first["ResponseMetadata"]["HTTPStatusCode"] == 201
    lam.update_function_configuration(FunctionName=name, Timeout=6)
    lam.update_function_code(FunctionName=name, ZipFile=zipped({"app.py": "new"}))
    second = lam.publish_version(
        FunctionName=name, CodeSha256=lam.get_function_configuration(FunctionName=name)["CodeSha256"]
    )
    assert second["Version"] == "2"
    kept = lam.get_function_configuration(FunctionName=name, Qualifier="1")
    assert (kept["Timeout"], kept["CodeSha256"]) == (5, first["CodeSha256"])
    assert (second["Timeout"], second["CodeSha256"]) != (5, first["CodeSha256"])


def test_publish_without_change_gives_the_last_version_again(lam: Any, create: Create) -> None:
    name = create()["FunctionName"]
    assert [lam.publish_version(FunctionName=name)["Version"] for _ in range(3)] == ["1", "1", "1"]


def test_create_and_update_may_publish(lam: Any, create: Create, zipped: Zip) -> None:
    reply = create(Publish=True)
    assert (reply["Version"], reply["State"]) == ("1", "Pending")
    update = lam.update_function_code(FunctionName=reply["FunctionName"], ZipFile=zipped({"app.py": "2"}), Publish=True)
    assert (update["Version"], update["FunctionArn"]) == ("2", f"{reply['FunctionArn']}:2")


def test_publish_wants_the_right_code(lam: Any, create: Create) -> None:
    name = create()["FunctionName"]
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match=r"CodeSHA256 \(other\) is different"):
        lam.publish_version(FunctionName=name, CodeSha256="other")


def test_versions_are_listed_in_order_and_paged(lam: Any, create: Create) -> None:
    name = create()["FunctionName"]
    for timeout in range(10, 21):
        lam.update_function_configuration(FunctionName=name, Timeout=timeout)
        lam.publish_version(FunctionName=name)
    pages = lam.get_paginator("list_versions_by_function").paginate(FunctionName=name, PaginationConfig={"PageSize": 4})
    listed = [entry["Version"] for page in pages for entry in page["Versions"]]
    assert listed == ["$LATEST", *map(str, range(1, 12))]


def test_a_version_is_deleted_for_good(lam: Any, create: Create) -> None:
    name = create(Publish=True)["FunctionName"]
    lam.delete_function(FunctionName=name, Qualifier="1")
    with pytest.raises(lam.exceptions.ResourceNotFoundException):
        lam.get_function(FunctionName=name, Qualifier="1")
    lam.update_function_configuration(FunctionName=name, Timeout=8)
    assert lam.publish_version(FunctionName=name)["Version"] == "2"
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match=r"\$LATEST version cannot be deleted"):
        lam.delete_function(FunctionName=name, Qualifier="$LATEST")


@pytest.fixture
def versioned(lam: Any, create: Create) -> str:
    """A function with versions 1 and 2."""
    name = create(Publish=True)["FunctionName"]
    lam.update_function_configuration(FunctionName=name, Timeout=8)
    lam.publish_version(FunctionName=name)
    return str(name)


def test_alias_points_at_a_version_and_moves(lam: Any, versioned: str) -> None:
    created = lam.create_alias(FunctionName=versioned, Name="live", FunctionVersion="1", Description="now")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    got = lam.get_function_configuration(FunctionName=versioned, Qualifier="live")
    assert (got["Version"], got["FunctionArn"]) == ("1", created["AliasArn"])
    moved = lam.update_alias(FunctionName=versioned, Name="live", FunctionVersion="2", RevisionId=created["RevisionId"])
    assert (moved["FunctionVersion"], moved["Description"]) == ("2", "now")
    assert lam.get_alias(FunctionName=versioned, Name="live")["RevisionId"] == moved["RevisionId"]
    with pytest.raises(lam.exceptions.PreconditionFailedException):
        lam.update_alias(FunctionName=versioned, Name="live", FunctionVersion="1", RevisionId=created["RevisionId"])
    assert lam.delete_alias(FunctionName=versioned, Name="live")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(lam.exceptions.ResourceNotFoundException, match="Cannot find alias arn: arn:aws:lambda"):
        lam.get_alias(FunctionName=versioned, Name="live")


def test_alias_shares_invocations_between_two_versions(lam: Any, versioned: str) -> None:
    routing = {"AdditionalVersionWeights": {"2": 0.25}}
    created = lam.create_alias(FunctionName=versioned, Name="canary", FunctionVersion="1", RoutingConfig=routing)
    assert created["RoutingConfig"] == routing
    with pytest.raises(lam.exceptions.ResourceConflictException):
        lam.delete_function(FunctionName=versioned, Qualifier="2")
    cleared = lam.update_alias(FunctionName=versioned, Name="canary", RoutingConfig={"AdditionalVersionWeights": {}})
    assert "RoutingConfig" not in cleared


def test_aliases_are_listed_paged_and_by_version(lam: Any, versioned: str) -> None:
    for name, version in (("a", "1"), ("b", "2"), ("c", "1")):
        lam.create_alias(FunctionName=versioned, Name=name, FunctionVersion=version)
    pages = lam.get_paginator("list_aliases").paginate(FunctionName=versioned, PaginationConfig={"PageSize": 2})
    assert [alias["Name"] for page in pages for alias in page["Aliases"]] == ["a", "b", "c"]
    first = lam.list_aliases(FunctionName=versioned, FunctionVersion="1")["Aliases"]
    assert [alias["Name"] for alias in first] == ["a", "c"]


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"Name": "live"}, "ResourceConflictException", "Alias already exists: arn:aws:lambda"),
        ({"Name": "7"}, "ValidationException", "at 'name' failed to satisfy constraint"),
        ({"FunctionVersion": "9"}, "ResourceNotFoundException", "Function not found: arn:aws:lambda"),
        (
            {"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
            "InvalidParameterValueException",
            "Function version 1 is already included in routing configuration.",
        ),
        (
            {"RoutingConfig": {"AdditionalVersionWeights": {"2": 1.5}}},
            "ValidationException",
            "Map value must satisfy constraint: [Member must have value less than or equal to 1.0",
        ),
        (
            {"RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1, "3": 0.1}}},
            "InvalidParameterValueException",
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ),
        (
            {"FunctionVersion": "$LATEST", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}}},
            "InvalidParameterValueException",
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
    ],
)
def test_bad_aliases(lam: Any, versioned: str, change: dict[str, Any], code: str, text: str) -> None:
    lam.create_alias(FunctionName=versioned, Name="live", FunctionVersion="1")
    with pytest.raises(lam.exceptions.ClientError) as failure:
        lam.create_alias(**{"FunctionName": versioned, "Name": "other", "FunctionVersion": "1", **change})
    assert failure.value.response["Error"]["Code"] == code
    assert text in failure.value.response["Error"]["Message"]


def test_two_qualifiers_must_agree(lam: Any, versioned: str) -> None:
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="derived qualifier from the function name"):
        lam.get_function(FunctionName=f"{versioned}:1", Qualifier="2")
