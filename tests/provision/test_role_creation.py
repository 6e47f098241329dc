"""The execution role: created once, kept up to date, and never somebody else's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lithops_magic.aws.deploy.role import trust
from lithops_magic.aws.iam.create_role import create_role
from lithops_magic.aws.iam.policy import execution_policy
from lithops_magic.aws.session import Cloud
from lithops_magic.aws.storage.bucket import bucket_name
from lithops_magic.config import Settings
from lithops_magic.errors import AwsError
from provision_help import EnforcingAws, Network, cloud_of

TRUST = trust("123456789012")


def permissions(local_aws: Any, name: str, region: str = "us-east-1") -> dict[str, Any]:
    answer = local_aws.client("iam").get_role_policy(RoleName=name, PolicyName=f"{name}-{region}")
    document: dict[str, Any] = answer["PolicyDocument"]
    return document


def test_it_has_exactly_the_policy_and_only_lambda_may_assume_it(
    local_aws: Any, account: Cloud, namespace: str
) -> None:
    settings = Settings(namespace=namespace, user_tags={"team": "physics"})
    arn = create_role(account, settings)
    name = f"lithops-magic-execution-{namespace}"
    assert arn == f"arn:aws:iam::123456789012:role/{name}"

    iam = local_aws.client("iam")
    role = iam.get_role(RoleName=name)["Role"]
    assert role["AssumeRolePolicyDocument"] == TRUST
    tags = {tag["Key"]: tag["Value"] for tag in role["Tags"]}
    assert tags == {"team": "physics", "lithops-magic": namespace}
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == [f"{name}-us-east-1"]
    bucket = bucket_name("123456789012", "us-east-1", namespace)
    assert permissions(local_aws, name) == execution_policy(settings, "123456789012", "us-east-1", bucket)


def test_doing_it_twice_changes_nothing(local_aws: Any, account: Cloud, namespace: str) -> None:
    settings, said = Settings(namespace=namespace), list[str]()
    arn = create_role(account, settings)
    before = local_aws.requests()
    assert create_role(account, settings, notify=said.append) == arn
    assert said == []
    after = local_aws.requests()
    assert {call for call in after if after[call] != before.get(call, 0)} == {"iam:GetRole", "iam:GetRolePolicy"}


def test_a_changed_configuration_changes_the_permissions(
    local_aws: Any, account: Cloud, namespace: str, network: Network
) -> None:
    arn = create_role(account, Settings(namespace=namespace))
    settings = network.settings(namespace=namespace, execution_role=None)
    assert create_role(account, settings) == arn
    name = arn.rpartition("/")[2]
    assert "ec2:CreateNetworkInterface" in json.dumps(permissions(local_aws, name))
    create_role(account, Settings(namespace=namespace))
    assert "ec2:" not in json.dumps(permissions(local_aws, name))


def test_a_second_region_keeps_the_permissions_of_the_first(local_aws: Any, account: Cloud, namespace: str) -> None:
    settings = Settings(namespace=namespace)
    name = create_role(account, settings).rpartition("/")[2]
    create_role(cloud_of(local_aws, region="eu-west-1"), settings)
    assert "us-east-1" in json.dumps(permissions(local_aws, name))
    assert "eu-west-1" in json.dumps(permissions(local_aws, name, "eu-west-1"))


def test_a_trust_that_someone_widened_is_put_right(local_aws: Any, account: Cloud, namespace: str) -> None:
    settings = Settings(namespace=namespace)
    name = create_role(account, settings).rpartition("/")[2]
    wide = json.dumps({**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": "*"}}]})  # type: ignore[dict-item]
    local_aws.client("iam").update_assume_role_policy(RoleName=name, PolicyDocument=wide)
    create_role(account, settings)
    assert local_aws.client("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == TRUST


@pytest.mark.parametrize("tags", [[], [{"Key": "lithops-magic", "Value": "another"}]])
def test_somebody_elses_role_of_that_name_is_left_alone(
    local_aws: Any, account: Cloud, namespace: str, tags: list[dict[str, str]]
) -> None:
    iam, name = local_aws.client("iam"), f"theirs-{namespace}"
    theirs = json.dumps({**TRUST, "Id": "theirs"})
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=theirs, Tags=tags)
    with pytest.raises(AwsError, match=f"^There is a role {name} that was not created by lithops-magic .* --name"):
        create_role(account, Settings(namespace=namespace), name)
    assert iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Id"] == "theirs"
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []


def test_without_permission_the_error_names_it(enforcing: EnforcingAws) -> None:
    with pytest.raises(AwsError, match=r"iam:CreateRole\. Ask whoever manages the account") as caught:
        create_role(enforcing.user("iam:GetRole"), Settings())
    assert caught.value.code == "AccessDenied"
