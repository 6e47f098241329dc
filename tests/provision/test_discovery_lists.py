"""What the form may choose from: real lists, and a denial that concerns one list only."""

from __future__ import annotations

import json
from typing import Any

from lithops_magic.aws.account.discover import MAX_LIST, Discovery
from lithops_magic.aws.account.permission_errors import Denied
from lithops_magic.aws.deploy.role import trust
from lithops_magic.aws.session import Cloud
from provision_help import EnforcingAws, Network, answer_instead


def test_only_roles_that_lambda_may_assume(local_aws: Any, account: Cloud, namespace: str) -> None:
    iam = local_aws.client("iam")
    for service in ("lambda.amazonaws.com", "ec2.amazonaws.com"):
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": ["x.amazonaws.com", service]},
            "Action": "sts:AssumeRole",
        }
        document = {**trust("123456789012"), "Statement": [statement]}
        name = f"{namespace}-{service.partition('.')[0]}"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))
    roles = Discovery(account).roles()
    assert not isinstance(roles, Denied)
    assert [role.name for role in roles if role.name.startswith(f"{namespace}-")] == [f"{namespace}-lambda"]
    assert [role.name for role in roles] == sorted(role.name for role in roles)


def test_every_page_is_read(local_aws: Any, account: Cloud, namespace: str) -> None:
    for number in range(120):
        local_aws.client("iam").create_role(
            RoleName=f"{namespace}-{number:03}", AssumeRolePolicyDocument=json.dumps(trust("123456789012"))
        )
    roles = Discovery(account).roles()
    assert not isinstance(roles, Denied)
    assert len([role for role in roles if role.name.startswith(f"{namespace}-")]) == 120


def test_networks_and_what_is_in_them(account: Cloud, network: Network) -> None:
    discovery = Discovery(account)
    vpcs = discovery.vpcs()
    assert not isinstance(vpcs, Denied)
    assert vpcs[0].is_default
    (vpc,) = [vpc for vpc in vpcs if vpc.id == network.vpc]
    assert (vpc.name, vpc.cidr, vpc.is_default) == ("research", "10.0.0.0/16", False)

    subnets = discovery.subnets(network.vpc)
    assert not isinstance(subnets, Denied)
    assert [(subnet.id, subnet.zone) for subnet in subnets] == list(
        zip(network.subnets, ("us-east-1a", "us-east-1b"), strict=True)
    )
    groups = discovery.security_groups(network.vpc)
    assert not isinstance(groups, Denied)
    assert [group.name for group in groups] == ["default", "files", "functions"]


def test_access_points_tell_their_vpc(account: Cloud, network: Network) -> None:
    points = Discovery(account).efs_access_points()
    assert not isinstance(points, Denied)
    (point,) = [point for point in points if point.arn == network.access_point]
    assert (point.file_system, point.vpc) == (network.file_system, network.vpc)


def test_s3_files_access_points_are_named_like_their_bucket(account: Cloud) -> None:
    client = s3files(account)
    arn = "arn:aws:s3files:us-east-1:123456789012:file-system/fs-1/access-point/fsap-1"
    answer_instead(client, "ListFileSystems", lambda _: {"fileSystems": [{"fileSystemId": "fs-1", "bucket": "data"}]})
    answer_instead(client, "ListMountTargets", lambda _: {"mountTargets": [{"mountTargetId": "t", "vpcId": "vpc-1"}]})
    answer_instead(client, "ListAccessPoints", lambda _: {"accessPoints": [{"accessPointArn": arn}]})
    points = Discovery(account).s3_files_access_points()
    assert not isinstance(points, Denied)
    assert [(point.arn, point.name, point.file_system, point.vpc) for point in points] == [
        (arn, "data", "fs-1", "vpc-1")
    ]


def s3files(cloud: Cloud) -> Any:
    """The client that the discovery will use, which boto3 would otherwise make anew."""
    make: Any = cloud.client
    client = make("s3files")
    original = cloud.client
    cloud.client = lambda service, config=None: client if service == "s3files" else original(service, config)  # type: ignore[assignment, method-assign]
    return client


def test_a_list_has_an_end(account: Cloud) -> None:
    iam: Any = account.client("iam")
    account.client = lambda service, config=None: iam  # type: ignore[method-assign]

    def page(asked: dict[str, Any]) -> dict[str, Any]:
        role = {"RoleName": "r", "Arn": "a", "AssumeRolePolicyDocument": json.dumps(trust("123456789012"))}
        return {"Roles": [dict(role) for _ in range(600)], "IsTruncated": True, "Marker": asked.get("Marker", "") + "x"}

    answer_instead(iam, "ListRoles", page)
    roles = Discovery(account).roles()
    assert not isinstance(roles, Denied)
    assert len(roles) == MAX_LIST


def test_a_denial_concerns_one_list(enforcing: EnforcingAws) -> None:
    discovery = Discovery(enforcing.user("ec2:DescribeVpcs"))
    vpcs = discovery.vpcs()
    assert not isinstance(vpcs, Denied)
    assert len(vpcs) == 1
    for denied, permission in [
        (discovery.roles(), "iam:ListRoles"),
        (discovery.subnets(vpcs[0].id), "ec2:DescribeSubnets"),
        (discovery.security_groups(vpcs[0].id), "ec2:DescribeSecurityGroups"),
        (discovery.efs_access_points(), "elasticfilesystem:DescribeAccessPoints"),
        (discovery.s3_files_access_points(), "s3files:ListFileSystems"),
    ]:
        assert denied == Denied(permission, f"It needs the permission {permission}.")


def test_an_address_where_nobody_answers_is_a_reason_not_an_error() -> None:
    import boto3

    nobody = Cloud(boto3.Session("AKIAEXAMPLE", "secret"), region="us-east-1", endpoint_url="http://127.0.0.1:9")
    denied = Discovery(nobody).vpcs()
    assert isinstance(denied, Denied)
    assert denied.permission == ""
    assert "127.0.0.1:9" in denied.reason
    assert "AKIAEXAMPLE" not in denied.reason
