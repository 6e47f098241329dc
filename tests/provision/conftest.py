"""An account, a network with a file system in it, and a second local AWS that enforces IAM's permissions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lithops_magic.aws.session import Cloud
from provision_help import EnforcingAws, Network, cloud_of, numbers


@pytest.fixture
def account(local_aws: Any) -> Cloud:
    """The local AWS, taken for an account."""
    return cloud_of(local_aws)


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"test{next(numbers)}"


@pytest.fixture
def network(local_aws: Any) -> Network:
    ec2, efs = local_aws.client("ec2"), local_aws.client("efs")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": "research"}])
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"]
        for number, zone in enumerate("ab")
    ]
    group, target_group = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        for name in ("functions", "files")
    )
    system = efs.create_file_system(CreationToken=f"token{next(numbers)}")["FileSystemId"]
    for subnet in subnets:
        efs.create_mount_target(FileSystemId=system, SubnetId=subnet["SubnetId"], SecurityGroups=[target_group])
    point = efs.create_access_point(ClientToken=f"point{next(numbers)}", FileSystemId=system)
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    first, second = (subnet["SubnetId"] for subnet in subnets)
    return Network(
        vpc, (first, second), group, target_group, system, point["AccessPointArn"], tables[0]["RouteTableId"]
    )


@pytest.fixture(scope="session")
def enforcing(local_aws: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnforcingAws]:
    folder = tmp_path_factory.mktemp("enforcing-aws")
    environment = {**os.environ, "LITHOPS_MAGIC_LOCAL_DIR": str(folder)}
    command = [sys.executable, "-m", "lithops_magic.local"]
    ensure = [*command, "ensure", "--workers", "1", "--concurrency", "1000"]
    started = subprocess.check_output(ensure, env=environment, text=True, timeout=120)
    yield EnforcingAws(type(local_aws)(**json.loads(started), folder=folder))
    subprocess.run([*command, "stop"], env=environment, check=True, capture_output=True, timeout=120)


@pytest.fixture
def owner_headers(account: Cloud) -> list[tuple[str, str | None]]:
    """Operation and expected owner of every S3 call of `account`."""
    seen: list[tuple[str, str | None]] = []

    def note(model: Any, params: dict[str, Any], **_: Any) -> None:
        seen.append((model.name, params["headers"].get("x-amz-expected-bucket-owner")))

    account.client("s3").meta.events.register("before-call.s3", note)
    return seen
