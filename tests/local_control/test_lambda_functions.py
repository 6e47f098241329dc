"""Functions through plain boto3: create, read, update, list, delete."""

from __future__ import annotations

import base64
import hashlib
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from lithops_magic.local.control.context import page

Create = Callable[..., dict[str, Any]]
Zip = Callable[..., bytes]


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def test_create_answers_pending_and_get_answers_active(lam: Any, create: Create, zipped: Zip) -> None:
    reply = create(Description="first", Timeout=7, MemorySize=256, Environment={"Variables": {"MODE": "test"}})
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (reply["State"], reply["StateReasonCode"]) == ("Pending", "Creating")
    assert "LastUpdateStatus" not in reply
    got = lam.get_function_configuration(FunctionName=reply["FunctionName"])
    assert (got["State"], got["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReasonCode" not in got
    assert (got["Description"], got["Timeout"], got["MemorySize"]) == ("first", 7, 256)
    assert got["Environment"] == {"Variables": {"MODE": "test"}}
    assert got["CodeSize"] == len(zipped())
    assert got["CodeSha256"] == base64.b64encode(hashlib.sha256(zipped()).digest()).decode()


def test_defaults_are_those_of_lambda(local_aws: Any, lam: Any, create: Create, role: str) -> None:
    name = create()["FunctionName"]
    got = lam.get_function_configuration(FunctionName=name)
    arn = f"arn:aws:lambda:{local_aws.region}:{local_aws.account_id}:function:{name}"
    expected = {
        "FunctionName": name,
        "FunctionArn": arn,
        "Version": "$LATEST",
        "Role": role,
        "Runtime": "python3.12",
        "Handler": "app.handler",
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "TracingConfig": {"Mode": "PassThrough"},
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }
    assert {key: got[key] for key in expected} == expected
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", got["LastModified"])
    assert got["RuntimeVersionConfig"]["RuntimeVersionArn"].startswith(f"arn:aws:lambda:{local_aws.region}::runtime:")
    assert not {"VpcConfig", "Layers", "FileSystemConfigs", "Environment"}.intersection(got)


def test_a_function_is_found_by_name_arn_and_partial_arn(local_aws: Any, lam: Any, create: Create) -> None:
    reply = create()
    name, arn = reply["FunctionName"], reply["FunctionArn"]
    for form in (name, arn, f"{local_aws.account_id}:function:{name}", f"function:{name}", f"{name}:$LATEST"):
        assert lam.get_function_configuration(FunctionName=form)["FunctionName"] == name
    assert lam.get_function_configuration(FunctionName=name, Qualifier="$LATEST")["FunctionArn"] == f"{arn}:$LATEST"


def test_code_location_gives_back_what_was_uploaded(lam: Any, create: Create, zipped: Zip) -> None:
    package = zipped({"app.py": "x = 1\n", "data/blob": bytes(range(256))})
    name = create(Code={"ZipFile": package})["FunctionName"]
    code = lam.get_function(FunctionName=name)["Code"]
    assert code["RepositoryType"] == "S3"
    assert fetch(code["Location"]) == package


def test_a_download_link_cannot_be_guessed(lam: Any, create: Create) -> None:
    location = lam.get_function(FunctionName=create()["FunctionName"])["Code"]["Location"]
    forged = location[:-1] + ("0" if location[-1] != "0" else "1")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(forged)


def test_code_may_come_from_s3(local_aws: Any, lam: Any, create: Create, zipped: Zip) -> None:
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket="control-code")
    s3.put_bucket_versioning(Bucket="control-code", VersioningConfiguration={"Status": "Enabled"})
    old, new = zipped({"app.py": "old"}), zipped({"app.py": "new"})
    version = s3.put_object(Bucket="control-code", Key="deep/code.zip", Body=old)["VersionId"]
    s3.put_object(Bucket="control-code", Key="deep/code.zip", Body=new)
    place = {"S3Bucket": "control-code", "S3Key": "deep/code.zip"}
    name = create(Code=place)["FunctionName"]
    assert fetch(lam.get_function(FunctionName=name)["Code"]["Location"]) == new
    lam.update_function_code(FunctionName=name, **place, S3ObjectVersion=version)
    assert fetch(lam.get_function(FunctionName=name)["Code"]["Location"]) == old


def test_update_code_is_in_progress_then_successful(lam: Any, create: Create, zipped: Zip) -> None:
    before = create()
    name = before["FunctionName"]
    reply = lam.update_function_code(FunctionName=name, ZipFile=zipped({"app.py": "2"}), Architectures=["arm64"])
    assert (reply["State"], reply["LastUpdateStatus"]) == ("Active", "InProgress")
    assert reply["CodeSha256"] != before["CodeSha256"]
    got = lam.get_function_configuration(FunctionName=name)
    assert got["LastUpdateStatus"] == "Successful"
    assert "LastUpdateStatusReasonCode" not in got
    assert (got["CodeSha256"], got["Architectures"]) == (reply["CodeSha256"], ["arm64"])


def test_update_code_dry_run_changes_nothing(lam: Any, create: Create, zipped: Zip) -> None:
    name = create()["FunctionName"]
    before = lam.get_function_configuration(FunctionName=name)
    reply = lam.update_function_code(FunctionName=name, ZipFile=zipped({"app.py": "other"}), DryRun=True)
    assert reply["CodeSha256"] != before["CodeSha256"]
    after = lam.get_function_configuration(FunctionName=name)
    assert (after["CodeSha256"], after["RevisionId"]) == (before["CodeSha256"], before["RevisionId"])


def test_update_configuration_changes_only_what_is_named(lam: Any, create: Create) -> None:
    name = create(Description="kept", Timeout=9)["FunctionName"]
    reply = lam.update_function_configuration(
        FunctionName=name,
        MemorySize=512,
        EphemeralStorage={"Size": 2048},
        Environment={"Variables": {"AB": "1"}},
        TracingConfig={"Mode": "Active"},
        LoggingConfig={"LogFormat": "JSON"},
        Runtime="python3.13",
    )
    assert reply["LastUpdateStatus"] == "InProgress"
    got = lam.get_function_configuration(FunctionName=name)
    assert (got["Description"], got["Timeout"], got["MemorySize"]) == ("kept", 9, 512)
    assert got["EphemeralStorage"] == {"Size": 2048}
    assert got["TracingConfig"] == {"Mode": "Active"}
    assert got["Runtime"] == "python3.13"
    assert got["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
        "LogGroup": f"/aws/lambda/{name}",
    }
    lam.update_function_configuration(FunctionName=name, LoggingConfig={"LogGroup": "elsewhere"})
    assert lam.get_function_configuration(FunctionName=name)["LoggingConfig"]["LogFormat"] == "JSON"
    text = lam.update_function_configuration(FunctionName=name, LoggingConfig={"LogFormat": "Text"})
    assert text["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "elsewhere"}
    lam.update_function_configuration(FunctionName=name, Environment={"Variables": {}})
    assert lam.get_function_configuration(FunctionName=name)["Environment"] == {"Variables": {}}


def test_revision_id_guards_updates(lam: Any, create: Create, zipped: Zip) -> None:
    name = create()["FunctionName"]
    revision = lam.get_function_configuration(FunctionName=name)["RevisionId"]
    lam.update_function_configuration(FunctionName=name, Timeout=5, RevisionId=revision)
    for update in (
        lambda: lam.update_function_configuration(FunctionName=name, Timeout=6, RevisionId=revision),
        lambda: lam.update_function_code(FunctionName=name, ZipFile=zipped(), RevisionId=revision),
        lambda: lam.publish_version(FunctionName=name, RevisionId=revision),
    ):
        with pytest.raises(lam.exceptions.PreconditionFailedException, match="latest Revision Id") as failure:
            update()
        assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert lam.get_function_configuration(FunctionName=name)["Timeout"] == 5


def test_a_name_is_taken_once(lam: Any, create: Create) -> None:
    name = create()["FunctionName"]
    with pytest.raises(lam.exceptions.ResourceConflictException, match=f"Function already exist: {name}"):
        create(FunctionName=name)


def test_delete_forgets_the_function(lam: Any, create: Create) -> None:
    reply = create()
    name = reply["FunctionName"]
    assert lam.delete_function(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(lam.exceptions.ResourceNotFoundException) as failure:
        lam.get_function(FunctionName=name)
    assert failure.value.response["Error"]["Message"] == f"Function not found: {reply['FunctionArn']}"
    with pytest.raises(lam.exceptions.ResourceNotFoundException):
        lam.delete_function(FunctionName=name)
    assert create(FunctionName=name)["Version"] == "$LATEST"


def test_functions_are_listed_page_by_page(lam: Any, create: Create) -> None:
    names = {create()["FunctionName"] for _ in range(5)}
    pages = list(lam.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))
    assert all(len(page["Functions"]) <= 2 for page in pages)
    listed = [entry["FunctionName"] for page in pages for entry in page["Functions"]]
    assert names <= set(listed)
    assert len(listed) == len(set(listed))


def test_no_function_is_skipped_when_a_listed_one_goes(lam: Any, create: Create) -> None:
    ours = sorted(create()["FunctionName"] for _ in range(3))
    page = lam.list_functions(MaxItems=1)
    while page["Functions"][0]["FunctionName"] != ours[0]:
        page = lam.list_functions(MaxItems=1, Marker=page["NextMarker"])
    lam.delete_function(FunctionName=ours[0])
    assert lam.list_functions(MaxItems=1, Marker=page["NextMarker"])["Functions"][0]["FunctionName"] == ours[1]


def test_a_page_holds_at_most_fifty() -> None:
    items, marker = page(map(str, range(1000, 1060)), {"MaxItems": 10_000}, str)
    assert items == [str(number) for number in range(1000, 1050)]
    assert page(map(str, range(1000, 1060)), {"Marker": marker}, str) == ([str(n) for n in range(1050, 1060)], None)


def test_listing_leaves_out_states_and_may_include_all_versions(lam: Any, create: Create) -> None:
    reply = create(Publish=True)
    entries = lam.get_paginator("list_functions").paginate().search("Functions[]")
    entry = next(item for item in entries if item["FunctionName"] == reply["FunctionName"])
    assert entry["FunctionArn"] == reply["FunctionArn"]
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"}.intersection(entry)
    everything = lam.get_paginator("list_functions").paginate(FunctionVersion="ALL").search("Functions[].FunctionArn")
    ours = [arn for arn in everything if reply["FunctionName"] in arn]
    assert ours == [f"{reply['FunctionArn']}:$LATEST", f"{reply['FunctionArn']}:1"]


@pytest.mark.parametrize(
    "waiter",
    ["function_exists", "function_active", "function_active_v2", "function_updated", "function_updated_v2"],
)
def test_waiters_end_at_once(lam: Any, create: Create, waiter: str) -> None:
    name = create()["FunctionName"]
    lam.update_function_configuration(FunctionName=name, Timeout=4)
    lam.get_waiter(waiter).wait(FunctionName=name, WaiterConfig={"MaxAttempts": 1})


def test_waiter_of_a_published_version(lam: Any, create: Create) -> None:
    name = create(Publish=True)["FunctionName"]
    lam.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig={"MaxAttempts": 1})


def test_snap_start_is_on_in_published_versions(lam: Any, create: Create) -> None:
    reply = create(SnapStart={"ApplyOn": "PublishedVersions"}, Publish=True)
    latest = lam.get_function_configuration(FunctionName=reply["FunctionName"])
    first = lam.get_function_configuration(FunctionName=reply["FunctionName"], Qualifier="1")
    assert latest["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    assert first["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}


def test_a_whole_name_in_another_region_or_account_is_out_of_reach(lam: Any, create: Create) -> None:
    arn = create()["FunctionArn"]
    with pytest.raises(lam.exceptions.ResourceNotFoundException, match="are not reachable in this region"):
        lam.get_function(FunctionName=arn.replace(":us-east-1:", ":eu-west-1:"))
    with pytest.raises(lam.exceptions.ClientError, match="AccessDeniedException") as failure:
        lam.get_function(FunctionName=arn.replace(":123456789012:", ":210987654321:"))
    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_what_is_not_there_says_so(lam: Any, create: Create, definition: dict[str, Any]) -> None:
    with pytest.raises(lam.exceptions.ClientError, match="does not support lambda:ListEventSourceMappings") as failure:
        lam.list_event_source_mappings()
    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    with pytest.raises(lam.exceptions.ClientError, match="does not support ImageConfig"):
        lam.create_function(**{**definition, "ImageConfig": {"Command": ["app.handler"]}})


def test_a_function_of_a_container_image_is_kept_and_not_run(lam: Any, create: Create, zipped: Zip) -> None:
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tools:1"
    reply = create(PackageType="Image", Code={"ImageUri": image}, Runtime=None, Handler=None)
    name = reply["FunctionName"]
    got = lam.get_function(FunctionName=name)
    assert got["Code"] == {"RepositoryType": "ECR", "ImageUri": image, "ResolvedImageUri": image}
    assert got["Configuration"]["PackageType"] == "Image"
    assert not {"Runtime", "Handler", "RuntimeVersionConfig"} & set(got["Configuration"])
    with pytest.raises(lam.exceptions.InvalidRuntimeException, match=f"cannot run container images such as {image}"):
        lam.invoke(FunctionName=name)
    updated = lam.update_function_code(FunctionName=name, ImageUri=f"{image}.1", Publish=True)
    assert (updated["Version"], updated["CodeSha256"] == reply["CodeSha256"]) == ("1", False)
    assert lam.update_function_configuration(FunctionName=name, Timeout=9)["PackageType"] == "Image"
    assert lam.get_function(FunctionName=name)["Code"]["ImageUri"] == f"{image}.1"
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="provide ImageUri when updating"):
        lam.update_function_code(FunctionName=name, ZipFile=zipped())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PackageType": "Zip"}, "don't provide ImageUri when creating"),
        ({"Handler": "app.handler"}, "Please don't provide Handler or Runtime or Layer"),
        ({"Code": {"S3Bucket": "bucket", "S3Key": "key"}}, "Please provide ImageUri"),
        ({"Code": {"ImageUri": "docker.io/tools:1"}}, "Source image docker.io/tools:1 is not valid"),
    ],
)
def test_a_container_image_that_lambda_refuses(lam: Any, create: Create, changes: dict[str, Any], message: str) -> None:
    image = {"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/tools:1"}
    request = {"PackageType": "Image", "Code": image, "Runtime": None, "Handler": None, **changes}
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match=message):
        create(**request)
