"""VPCs and EFS through plain boto3: what a function may be connected to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

Create = Callable[..., dict[str, Any]]

INVALID = "InvalidParameterValueException"


@dataclass
class Network:
    vpc: str
    subnets: list[str]
    group: str

    @property
    def config(self) -> dict[str, Any]:
        return {"SubnetIds": self.subnets[:1], "SecurityGroupIds": [self.group]}


def build(ec2: Any, cidr: str) -> Network:
    vpc = ec2.create_vpc(CidrBlock=f"{cidr}.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"{cidr}.{index}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for index, zone in enumerate(("us-east-1a", "us-east-1b"))
    ]
    group = ec2.create_security_group(GroupName="functions", Description="functions", VpcId=vpc)["GroupId"]
    return Network(vpc, subnets, group)


@pytest.fixture(scope="module")
def here(local_aws: Any) -> Network:
    return build(local_aws.client("ec2"), "10.71")


@pytest.fixture(scope="module")
def elsewhere(local_aws: Any) -> Network:
    return build(local_aws.client("ec2"), "10.72")


@pytest.fixture(scope="module")
def access_point(local_aws: Any, here: Network) -> str:
    """An access point with a mount target in the first subnet's availability zone."""
    efs = local_aws.client("efs")
    system = efs.create_file_system(CreationToken="control")["FileSystemId"]
    efs.create_mount_target(FileSystemId=system, SubnetId=here.subnets[0], SecurityGroups=[here.group])
    arn: str = efs.create_access_point(ClientToken="control", FileSystemId=system)["AccessPointArn"]
    return arn


def refused(lam: Any, create: Create, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(lam.exceptions.ClientError) as failure:
        create(**arguments)
    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = failure.value.response["Error"]
    return error["Code"], error["Message"]


def test_the_vpc_is_looked_up(lam: Any, create: Create, here: Network, elsewhere: Network) -> None:
    name = create(VpcConfig=here.config)["FunctionName"]
    expected = {**here.config, "VpcId": here.vpc, "Ipv6AllowedForDualStack": False}
    assert lam.get_function_configuration(FunctionName=name)["VpcConfig"] == expected
    moved = lam.update_function_configuration(FunctionName=name, VpcConfig=elsewhere.config)
    assert moved["VpcConfig"]["VpcId"] == elsewhere.vpc
    out = lam.update_function_configuration(FunctionName=name, VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    assert (out["VpcConfig"]["VpcId"], out["VpcConfig"]["SubnetIds"]) == ("", [])


def test_the_default_vpc_serves_too(local_aws: Any, create: Create) -> None:
    ec2 = local_aws.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    where = [{"Name": "vpc-id", "Values": [vpc]}]
    subnets = [item["SubnetId"] for item in ec2.describe_subnets(Filters=where)["Subnets"]]
    groups = [item["GroupId"] for item in ec2.describe_security_groups(Filters=where)["SecurityGroups"]]
    assert create(VpcConfig={"SubnetIds": subnets, "SecurityGroupIds": groups})["VpcConfig"]["VpcId"] == vpc


def test_unknown_subnets_and_groups(lam: Any, create: Create, here: Network) -> None:
    code, text = refused(lam, create, VpcConfig={**here.config, "SubnetIds": ["subnet-00000000"]})
    assert code == INVALID
    assert text == (
        "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. "
        "EC2 Error Message: The subnet ID 'subnet-00000000' does not exist"
    )
    code, text = refused(lam, create, VpcConfig={**here.config, "SecurityGroupIds": ["sg-00000000"]})
    assert code == INVALID
    assert "Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound." in text


def test_malformed_ids(lam: Any, create: Create, here: Network) -> None:
    code, text = refused(lam, create, VpcConfig={**here.config, "SubnetIds": ["bad subnet"]})
    assert code == "ValidationException"
    assert "Value '[bad subnet]' at 'vpcConfig.subnetIds' failed to satisfy constraint: Member must satisfy" in text


def test_one_vpc_for_all(lam: Any, create: Create, here: Network, elsewhere: Network) -> None:
    two = [here.subnets[0], elsewhere.subnets[0]]
    assert refused(lam, create, VpcConfig={**here.config, "SubnetIds": two})[0] == INVALID
    mixed = {"SubnetIds": here.subnets, "SecurityGroupIds": [elsewhere.group]}
    expected = (INVALID, "Security Groups are required to be in the same VPC.")
    assert refused(lam, create, VpcConfig=mixed) == expected


@pytest.mark.parametrize("missing", ["SubnetIds", "SecurityGroupIds"])
def test_subnets_and_groups_go_together(lam: Any, create: Create, here: Network, missing: str) -> None:
    expected = (INVALID, "SubnetIds and SecurityIds must coexist or be both empty list.")
    assert refused(lam, create, VpcConfig={**here.config, missing: []}) == expected


def test_a_file_system_is_mounted(lam: Any, create: Create, here: Network, access_point: str) -> None:
    mounts = [{"Arn": access_point, "LocalMountPath": "/mnt/data"}]
    name = create(VpcConfig=here.config, FileSystemConfigs=mounts)["FunctionName"]
    assert lam.get_function_configuration(FunctionName=name)["FileSystemConfigs"] == mounts
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="must be configured to execute in a VPC"):
        lam.update_function_configuration(FunctionName=name, VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    lam.update_function_configuration(FunctionName=name, FileSystemConfigs=[])
    assert "FileSystemConfigs" not in lam.get_function_configuration(FunctionName=name)


def test_a_file_system_needs_a_vpc(lam: Any, create: Create, access_point: str) -> None:
    code, text = refused(lam, create, FileSystemConfigs=[{"Arn": access_point, "LocalMountPath": "/mnt/data"}])
    assert code == INVALID
    assert text.startswith(f"Function must be configured to execute in a VPC to reference access point {access_point}.")


def test_every_zone_needs_a_mount_target(lam: Any, create: Create, here: Network, access_point: str) -> None:
    config = {"SubnetIds": here.subnets, "SecurityGroupIds": [here.group]}
    mounts = [{"Arn": access_point, "LocalMountPath": "/mnt/data"}]
    code, text = refused(lam, create, VpcConfig=config, FileSystemConfigs=mounts)
    assert code == INVALID
    assert "has no mount targets created in all availability zones the function will execute in" in text


def test_a_mount_target_in_another_vpc_does_not_count(
    lam: Any, create: Create, elsewhere: Network, access_point: str
) -> None:
    mounts = [{"Arn": access_point, "LocalMountPath": "/mnt/data"}]
    assert "has no mount targets" in refused(lam, create, VpcConfig=elsewhere.config, FileSystemConfigs=mounts)[1]


def test_the_access_point_exists(lam: Any, create: Create, here: Network, access_point: str) -> None:
    unknown = f"{access_point.rpartition('-')[0]}-{'0' * 17}"
    mounts = [{"Arn": unknown, "LocalMountPath": "/mnt/data"}]
    code, text = refused(lam, create, VpcConfig=here.config, FileSystemConfigs=mounts)
    assert (code, text) == (INVALID, f"Access point {unknown} does not exist.")


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        (["/data"], "at 'fileSystemConfigs.1.member.localMountPath' failed to satisfy constraint"),
        (["/mnt/"], "Member must satisfy regular expression pattern: /mnt/[a-zA-Z0-9-_.]+"),
        (
            ["/mnt/a", "/mnt/b"],
            "at 'fileSystemConfigs' failed to satisfy constraint: Member must have length less than",
        ),
    ],
)
def test_bad_mounts(lam: Any, create: Create, here: Network, access_point: str, paths: list[str], text: str) -> None:
    mounts = [{"Arn": access_point, "LocalMountPath": path} for path in paths]
    code, message = refused(lam, create, VpcConfig=here.config, FileSystemConfigs=mounts)
    assert code == "ValidationException"
    assert text in message
