"""The deployed function always matches its settings, is found again, and only ours are listed and deleted."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lithops_magic.aws.definition import creation_request, runtime_name
from lithops_magic.aws.deploy import create
from lithops_magic.aws.deploy.function import DeployedFunction, delete_functions, deploy, list_functions
from lithops_magic.aws.deploy.role import LOCAL_ROLE, role_arn
from lithops_magic.aws.deploy.state_reasons import REASONS, advice
from lithops_magic.aws.deploy.wait import _failed
from lithops_magic.aws.explain import explain
from lithops_magic.aws.session import Cloud
from lithops_magic.config import FileSystem, Settings
from lithops_magic.errors import ConfigError, DeployError

SETTINGS = Settings(namespace="test-function", memory=256, timeout=30)

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tools:1"


def package(source: str = "def handle(event, context):\n    return event\n") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("lithops_magic_worker/handler.py"), source)
    return buffer.getvalue()


@pytest.fixture
def cloud(local_aws: Any) -> Cloud:
    return Cloud.connect(SETTINGS)


@pytest.fixture(autouse=True)
def no_functions(local_aws: Any) -> Iterator[None]:
    yield
    client = local_aws.client("lambda")
    for page in client.get_paginator("list_functions").paginate():
        for entry in page["Functions"]:
            if entry["FunctionName"].startswith("lithops-magic-test-function"):
                client.delete_function(FunctionName=entry["FunctionName"])


def trusted_role(local_aws: Any, name: str, service: str = "lambda.amazonaws.com") -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    iam = local_aws.client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    return arn


def calls(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}


def test_deploying_takes_few_calls_and_finding_one(local_aws: Any, cloud: Cloud) -> None:
    before = local_aws.requests()
    first = deploy(cloud, SETTINGS, package())
    between = local_aws.requests()
    assert first.created
    assert sum(calls(before, between).values()) <= 6
    second = deploy(cloud, SETTINGS, package())
    assert second == DeployedFunction(first.name, first.arn, 256, 30, created=False)
    assert calls(between, local_aws.requests()) == {"lambda:GetFunction": 1}


def test_the_name_and_the_plain_function(local_aws: Any, cloud: Cloud) -> None:
    heard: list[str] = []
    function = deploy(cloud, SETTINGS, package(), heard.append)
    assert heard == [f"Deploying {function.name} …"]
    assert len(function.name) <= 64
    found = local_aws.client("lambda").get_function(FunctionName=function.name)
    configuration, tags = found["Configuration"], found["Tags"]
    assert configuration["Role"] == f"arn:aws:iam::{local_aws.account_id}:role/{LOCAL_ROLE}"
    assert configuration["Runtime"] == runtime_name()
    assert configuration["LoggingConfig"]["LogFormat"] == "Text"
    assert tags["lithops-magic"] == "test-function"
    assert tags["lithops-magic:created-by"]
    assert role_arn(cloud, SETTINGS) == configuration["Role"]


def test_every_setting_makes_another_function(local_aws: Any, cloud: Cloud) -> None:
    ec2, efs = local_aws.client("ec2"), local_aws.client("efs")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="test-function", Description="d", VpcId=vpc)["GroupId"]
    files = efs.create_file_system(CreationToken="test-function")["FileSystemId"]
    efs.create_mount_target(FileSystemId=files, SubnetId=subnet, SecurityGroups=[group])
    point = efs.create_access_point(ClientToken="test-function", FileSystemId=files)["AccessPointArn"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("python/extra.py", "")
    layer = local_aws.client("lambda").publish_layer_version(
        LayerName="test-function", Content={"ZipFile": buffer.getvalue()}
    )["LayerVersionArn"]
    role = trusted_role(local_aws, "test-function-role")
    network = {"subnets": (subnet,), "security_groups": (group,)}
    variants: list[tuple[dict[str, Any], Any]] = [
        ({"memory": 512}, lambda c: c["MemorySize"] == 512),
        ({"timeout": 31}, lambda c: c["Timeout"] == 31),
        ({"ephemeral_storage": 1024}, lambda c: c["EphemeralStorage"] == {"Size": 1024}),
        ({"architecture": "arm64"}, lambda c: c["Architectures"] == ["arm64"]),
        ({"env_vars": {"LEVEL": "1"}}, lambda c: c["Environment"]["Variables"] == {"LEVEL": "1"}),
        ({"user_tags": {"team": "physics"}}, lambda c: c["Tags"]["team"] == "physics"),
        ({"execution_role": role}, lambda c: c["Role"] == role),
        ({"runtime": IMAGE}, lambda c: (c["PackageType"], "Runtime" in c, "Layers" in c) == ("Image", False, False)),
        ({"runtime": IMAGE + ".1"}, lambda c: c["PackageType"] == "Image"),
        ({"layers": (layer,)}, lambda c: [entry["Arn"] for entry in c["Layers"]] == [layer]),
        (network, lambda c: (c["VpcConfig"]["SubnetIds"], c["VpcConfig"]["SecurityGroupIds"]) == ([subnet], [group])),
        (
            {**network, "efs": (FileSystem(point, "/mnt/data"),)},
            lambda c: c["FileSystemConfigs"] == [{"Arn": point, "LocalMountPath": "/mnt/data"}],
        ),
    ]
    names = {deploy(cloud, SETTINGS, package()).name, deploy(cloud, SETTINGS, package("# changed")).name}
    for changes, holds in variants:
        settings = SETTINGS.replace(**changes)
        assert settings.problems() == []
        name = deploy(cloud, settings, package()).name
        found = local_aws.client("lambda").get_function(FunctionName=name)
        assert holds({**found["Configuration"], "Tags": found["Tags"]}), changes
        names.add(name)
    assert len(names) == len(variants) + 2
    assert {function.name for function in list_functions(cloud, SETTINGS)} == names


def test_two_notebooks_deploying_at_once_get_the_same_function(local_aws: Any) -> None:
    found: list[DeployedFunction] = []
    barrier = threading.Barrier(4)

    def notebook() -> None:
        cloud = Cloud.connect(SETTINGS)
        barrier.wait(timeout=60)
        found.append(deploy(cloud, SETTINGS, package("# at once")))

    threads = [threading.Thread(target=notebook) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len(found) == 4
    assert len({function.name for function in found}) == 1


def test_only_ours_of_this_namespace_are_listed_and_deleted(local_aws: Any, cloud: Cloud) -> None:
    client = local_aws.client("lambda")
    mine = deploy(cloud, SETTINGS, package()).name
    other = deploy(cloud, SETTINGS.replace(namespace="test-function-b"), package()).name
    request: dict[str, Any] = {**creation_request(SETTINGS, role_arn(cloud, SETTINGS), package())}
    lookalike = "lithops-magic-test-function-0123456789ab"
    request |= {"FunctionName": lookalike, "Tags": {"lithops-magic": "someone-else"}}
    client.create_function(**request)
    client.get_waiter("function_active_v2").wait(FunctionName=lookalike)
    assert delete_functions(cloud, SETTINGS) == [mine]
    left = {entry["FunctionName"] for entry in local_aws.functions()}
    assert {other, lookalike} <= left
    assert mine not in left


def test_a_role_that_does_not_exist_is_said_at_once(local_aws: Any, cloud: Cloud) -> None:
    settings = SETTINGS.replace(execution_role=f"arn:aws:iam::{local_aws.account_id}:role/test-function-missing")
    with pytest.raises(DeployError, match=r"There is no role \S+test-function-missing") as caught:
        deploy(cloud, settings, package())
    assert "\n" not in str(caught.value)


def test_a_new_role_is_waited_for_and_an_old_one_is_not(
    local_aws: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = trusted_role(local_aws, "test-function-untrusted", "ec2.amazonaws.com")
    settings = SETTINGS.replace(execution_role=role)
    monkeypatch.setattr(create, "RETRY_PAUSE", 0.2)
    heard: list[str] = []

    def mend(text: str) -> None:
        heard.append(text)
        if "new role" in text:
            trust = local_aws.client("iam").get_role(RoleName=LOCAL_ROLE)["Role"]["AssumeRolePolicyDocument"]
            local_aws.client("iam").update_assume_role_policy(
                RoleName="test-function-untrusted", PolicyDocument=json.dumps(trust)
            )

    assert deploy(cloud, settings, package(), mend).created
    assert heard[1:] == ["Waiting for AWS Lambda to recognize the new role …"]

    old = trusted_role(local_aws, "test-function-old", "ec2.amazonaws.com")
    monkeypatch.setattr(create, "PROPAGATION", create.PROPAGATION * 0)
    with pytest.raises(DeployError, match=r"Let lambda\.amazonaws\.com assume the role"):
        deploy(cloud, SETTINGS.replace(execution_role=old), package())


def test_a_layer_that_does_not_exist_is_refused_in_one_line(cloud: Cloud) -> None:
    layer = f"arn:aws:lambda:{cloud.region}:{cloud.account_id}:layer:test-function-missing:1"
    with pytest.raises(DeployError) as caught:
        deploy(cloud, SETTINGS.replace(layers=(layer,)), package())
    assert caught.value.code
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        (
            "Function code combined with layers exceeds the maximum allowed size.",
            "Take layers out of the configuration",
        ),
        (f"Source image {IMAGE} does not exist. Provide a valid source image.", "Push the image"),
        ("Lambda does not have permission to access the ECR image.", "Let lambda.amazonaws.com read it"),
    ],
)
def test_code_that_aws_refuses_gets_a_remedy(message: str, remedy: str) -> None:
    refusal = ClientError({"Error": {"Code": "InvalidParameterValueException", "Message": message}}, "CreateFunction")
    assert str(explain(refusal, DeployError)).startswith(
        f"CreateFunction: InvalidParameterValueException: {message} {remedy}"
    )


@pytest.mark.parametrize("code", [*REASONS, "SomethingNew", "FunctionError.SomethingNew"])
def test_each_reason_of_a_failed_function_is_one_line(code: str) -> None:
    error = _failed({"State": "Failed", "StateReasonCode": code, "StateReason": "AWS\nsays so"})  # type: ignore[typeddict-item]
    assert str(error) == f"The function did not become active: {code}: AWS says so. {advice(code)}".rstrip()
    assert error.code == code


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_the_runtime_is_the_notebooks_python(minor: int) -> None:
    assert runtime_name((3, minor)) == f"python3.{minor}"


@pytest.mark.parametrize("version", [(3, 10), (3, 15), (4, 0)])
def test_another_python_is_refused_with_the_choices(version: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"one of 3\.11, 3\.12, 3\.13, 3\.14"):
        runtime_name(version)


def test_an_account_needs_a_role(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "is_local", False)
    with pytest.raises(ConfigError, match="execution_role"):
        role_arn(cloud, SETTINGS)
