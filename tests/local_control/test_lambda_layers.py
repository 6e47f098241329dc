"""Layers through plain boto3."""

from __future__ import annotations

import base64
import hashlib
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

Create = Callable[..., dict[str, Any]]
Zip = Callable[..., bytes]


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def test_publish_describes_the_version(local_aws: Any, lam: Any, zipped: Zip, new_name: Callable[[], str]) -> None:
    name, package = new_name(), zipped({"python/tool.py": "x = 1\n"})
    reply = lam.publish_layer_version(
        LayerName=name,
        Content={"ZipFile": package},
        Description="tools",
        LicenseInfo="MIT",
        CompatibleRuntimes=["python3.12"],
        CompatibleArchitectures=["x86_64"],
    )
    arn = f"arn:aws:lambda:{local_aws.region}:{local_aws.account_id}:layer:{name}"
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (reply["LayerArn"], reply["LayerVersionArn"], reply["Version"]) == (arn, f"{arn}:1", 1)
    assert (reply["Description"], reply["LicenseInfo"]) == ("tools", "MIT")
    assert (reply["CompatibleRuntimes"], reply["CompatibleArchitectures"]) == (["python3.12"], ["x86_64"])
    assert reply["Content"]["CodeSize"] == len(package)
    assert reply["Content"]["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()


def test_every_way_to_get_a_layer_gives_the_same(lam: Any, zipped: Zip, new_name: Callable[[], str]) -> None:
    package = zipped({"python/tool.py": "y = 2\n"})
    published = lam.publish_layer_version(LayerName=new_name(), Content={"ZipFile": package})
    name = published["LayerArn"].rpartition(":")[2]
    for got in (
        lam.get_layer_version(LayerName=name, VersionNumber=1),
        lam.get_layer_version(LayerName=published["LayerArn"], VersionNumber=1),
        lam.get_layer_version_by_arn(Arn=published["LayerVersionArn"]),
    ):
        assert got["CreatedDate"] == published["CreatedDate"]
        assert fetch(got["Content"]["Location"]) == package


def test_layer_from_s3(local_aws: Any, lam: Any, zipped: Zip, new_name: Callable[[], str]) -> None:
    package, s3 = zipped({"python/tool.py": "z = 3\n"}), local_aws.client("s3")
    s3.create_bucket(Bucket="control-layers")
    s3.put_object(Bucket="control-layers", Key="layer.zip", Body=package)
    content = {"S3Bucket": "control-layers", "S3Key": "layer.zip"}
    published = lam.publish_layer_version(LayerName=new_name(), Content=content)
    assert fetch(published["Content"]["Location"]) == package


def test_listing_layers_and_their_versions(lam: Any, zipped: Zip, new_name: Callable[[], str]) -> None:
    name, other = new_name(), new_name()
    for runtimes in (["python3.12"], ["python3.12", "python3.13"], ["python3.13"]):
        lam.publish_layer_version(LayerName=name, Content={"ZipFile": zipped()}, CompatibleRuntimes=runtimes)
    lam.publish_layer_version(LayerName=other, Content={"ZipFile": zipped()})
    paged = lam.get_paginator("list_layer_versions").paginate(LayerName=name, PaginationConfig={"PageSize": 2})
    assert [entry["Version"] for page in paged for entry in page["LayerVersions"]] == [3, 2, 1]
    matching = lam.list_layer_versions(LayerName=name, CompatibleRuntime="python3.12")["LayerVersions"]
    assert [entry["Version"] for entry in matching] == [2, 1]
    pages = lam.get_paginator("list_layers").paginate(CompatibleRuntime="python3.12", PaginationConfig={"PageSize": 1})
    layers = {
        layer["LayerName"]: layer["LatestMatchingVersion"]["Version"] for page in pages for layer in page["Layers"]
    }
    assert layers[name] == 2
    assert other not in layers


def test_delete_keeps_functions_and_numbers(lam: Any, create: Create, zipped: Zip, new_name: Callable[[], str]) -> None:
    name = new_name()
    first = lam.publish_layer_version(LayerName=name, Content={"ZipFile": zipped()})
    function = create(Layers=[first["LayerVersionArn"]])["FunctionName"]
    assert lam.delete_layer_version(LayerName=name, VersionNumber=1)["ResponseMetadata"]["HTTPStatusCode"] == 204
    lam.delete_layer_version(LayerName=name, VersionNumber=1)
    with pytest.raises(lam.exceptions.ResourceNotFoundException, match="The resource you requested does not exist"):
        lam.get_layer_version(LayerName=name, VersionNumber=1)
    assert lam.list_layer_versions(LayerName=name)["LayerVersions"] == []
    got = lam.get_function_configuration(FunctionName=function)
    assert [layer["Arn"] for layer in got["Layers"]] == [first["LayerVersionArn"]]
    assert lam.publish_layer_version(LayerName=name, Content={"ZipFile": zipped()})["Version"] == 2


def test_functions_gain_and_lose_layers(lam: Any, create: Create, zipped: Zip, new_name: Callable[[], str]) -> None:
    arns = [
        lam.publish_layer_version(LayerName=new_name(), Content={"ZipFile": zipped()})["LayerVersionArn"]
        for _ in range(2)
    ]
    name = create(Layers=arns)["FunctionName"]
    expected = [{"Arn": arn, "CodeSize": len(zipped())} for arn in arns]
    assert lam.get_function_configuration(FunctionName=name)["Layers"] == expected
    lam.update_function_configuration(FunctionName=name, Layers=arns[::-1])
    assert lam.get_function_configuration(FunctionName=name)["Layers"] == expected[::-1]
    lam.update_function_configuration(FunctionName=name, Layers=[])
    assert "Layers" not in lam.get_function_configuration(FunctionName=name)


def test_bad_layer_requests(lam: Any, zipped: Zip, new_name: Callable[[], str]) -> None:
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="Could not unzip uploaded file"):
        lam.publish_layer_version(LayerName=new_name(), Content={"ZipFile": b"no zip"})
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="Layer Version Cannot be less than 1"):
        lam.get_layer_version(LayerName=new_name(), VersionNumber=0)
    with pytest.raises(lam.exceptions.ClientError, match=r"ValidationException.*at 'compatibleRuntimes' failed"):
        lam.publish_layer_version(LayerName=new_name(), Content={"ZipFile": zipped()}, CompatibleRuntimes=["cobol"])
    with pytest.raises(lam.exceptions.ClientError, match=r"ValidationException.*at 'arn' failed to satisfy"):
        lam.get_layer_version_by_arn(Arn="arn:aws:lambda:us-east-1:123456789012:layer:without-version")
