"""Each check in the account's states that it must tell apart: in order, wrong, and not to be known."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from lithops_magic.aws.account import doctor
from lithops_magic.aws.account.doctor import CHECKS, Check, check, facts
from lithops_magic.aws.definition import creation_request
from lithops_magic.aws.iam.create_role import create_role
from lithops_magic.aws.session import Cloud
from lithops_magic.aws.storage.bucket import bucket_name, ensure_bucket
from lithops_magic.config import FileSystem, Settings
from provision_help import EnforcingAws, Network, answer_instead, cloud_of, refuse

NO_POINT = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-00000000000000000"


def examined(cloud: Cloud, settings: Settings) -> dict[str, Check]:
    """By name; every line must be one line."""
    checks = list(check(cloud, settings))
    assert all("\n" not in str(found) and found.text.endswith(".") for found in checks), checks
    assert all(found.fix for found in checks if found.status == "problem")
    return {found.name: found for found in checks}


def one(cloud: Cloud, settings: Settings, name: str) -> Check:
    """Only this check, which depends on no other: all of them are thirty requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "CHECKS", [check for check in CHECKS if check[0] == name])
        return examined(cloud, settings)[name]


def open_nfs(local_aws: Any, network: Network, **source: Any) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049, **source}
    local_aws.client("ec2").authorize_security_group_ingress(GroupId=network.target_group, IpPermissions=[rule])


def add_endpoint(local_aws: Any, network: Network, **how: Any) -> None:
    local_aws.client("ec2").create_vpc_endpoint(VpcId=network.vpc, ServiceName="com.amazonaws.us-east-1.s3", **how)


def test_a_finished_account_is_in_order(local_aws: Any, account: Cloud, network: Network, namespace: str) -> None:
    settings = network.settings(namespace=namespace)
    settings = settings.replace(execution_role=create_role(account, settings))
    ensure_bucket(account, settings)
    open_nfs(local_aws, network, UserIdGroupPairs=[{"GroupId": network.group}])
    add_endpoint(local_aws, network, RouteTableIds=[network.table])
    answer_instead(account.client("iam"), "SimulatePrincipalPolicy", simulation())
    request = creation_request(settings.replace(subnets=(), efs=()), settings.execution_role or "", minimal_zip())
    client = local_aws.client("lambda")
    client.create_function(**request)
    try:
        checks = examined(account, settings)
    finally:
        client.delete_function(FunctionName=request["FunctionName"])
    assert {name: found.status for name, found in checks.items()} == dict.fromkeys(dict(CHECKS), "ok")
    assert checks["invocation"].text == f"You may invoke {request['FunctionName']}."


def minimal_zip() -> bytes:
    import io
    import zipfile

    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("empty.py", "")
    return sink.getvalue()


def simulation(*denied: str) -> Any:
    """IAM's simulation, which the local AWS does not have."""

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        assert asked["ActionNames"]
        assert not any("*" in arn and arn != "*" for arn in asked["ResourceArns"])
        return {
            "EvaluationResults": [
                {"EvalActionName": name, "EvalDecision": "implicitDeny" if name in denied else "allowed"}
                for name in asked["ActionNames"]
            ]
        }

    return answer


def test_a_caller_without_permissions_gets_unknowns_that_name_them(enforcing: EnforcingAws, network: Network) -> None:
    checks = examined(enforcing.user(), network.settings())
    needs = {name: found.text for name, found in checks.items() if found.status == "unknown"}
    assert needs == {
        name: f"Could not check: needs {permission}."
        for name, permission in {
            "role": "iam:GetRole",
            "role trust": "iam:GetRole",
            "role permissions": "iam:GetRole",
            "your permissions": "iam:SimulatePrincipalPolicy",
            "subnets": "ec2:DescribeSubnets",
            "security groups": "ec2:DescribeSecurityGroups",
            "S3 from the VPC": "ec2:DescribeSubnets",
            "access point": "elasticfilesystem:DescribeAccessPoints",
            "mount targets": "elasticfilesystem:DescribeAccessPoints",
            "NFS port": "elasticfilesystem:DescribeAccessPoints",
        }.items()
    }
    assert checks["credentials"].status == checks["concurrency"].status == "ok"
    assert checks["bucket"].status == "problem"
    assert "s3:ListBucket" in checks["bucket"].text


def test_one_permission_more_makes_one_answer_more(enforcing: EnforcingAws) -> None:
    enforcing.enforce(False)
    ec2 = enforcing.aws.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    settings = Settings(execution_role="arn:aws:iam::123456789012:role/r", subnets=(subnet,), security_groups=("sg-0",))
    checks = examined(enforcing.user("ec2:DescribeSubnets"), settings)
    assert checks["subnets"].status == "ok"
    assert checks["security groups"].text == "Could not check: needs ec2:DescribeSecurityGroups."
    assert checks["S3 from the VPC"].text == "Could not check: needs ec2:DescribeVpcEndpoints."
    checks = examined(enforcing.user("ec2:DescribeSubnets", "ec2:DescribeVpcEndpoints"), settings)
    assert checks["S3 from the VPC"].text == "Could not check: needs ec2:DescribeRouteTables."


def test_refused_credentials_are_a_problem_and_the_rest_unknown(local_aws: Any) -> None:
    stranger = boto3.Session("AKIAEXAMPLEEXAMPLE00", "wrong", region_name="us-east-1")
    checks = examined(cloud_of(local_aws, stranger), Settings(execution_role="arn:aws:iam::123456789012:role/r"))
    assert checks.pop("credentials").status == "problem"
    assert {found.status for name, found in checks.items() if name != "region"} == {"unknown"}
    assert "AKIAEXAMPLE" not in str(checks)


def test_another_accounts_credentials_are_a_problem(account: Cloud) -> None:
    found = one(account, Settings(account_id="999999999999"), "credentials")
    assert (found.status, "account 123456789012, but account_id says 999999999999" in found.text) == ("problem", True)


@pytest.mark.parametrize(("minutes", "status"), [(-7, "problem"), (0, "ok"), (4, "ok"), (60, "problem")])
def test_clock(account: Cloud, monkeypatch: pytest.MonkeyPatch, minutes: int, status: str) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(minutes=minutes)

    monkeypatch.setattr(facts, "datetime", Clock)
    assert one(account, Settings(), "clock").status == status


def test_things_in_another_region_are_a_problem(account: Cloud) -> None:
    layer = "arn:aws:lambda:eu-west-1:123456789012:layer:mine:1"
    found = one(account, Settings(layers=(layer,)), "region")
    assert (found.status, layer in found.text) == ("problem", True)


def test_role_missing_or_not_configured(account: Cloud) -> None:
    assert one(account, Settings(), "role").text == "No execution role is configured."
    checks = examined(account, Settings(execution_role="arn:aws:iam::123456789012:role/none"))
    assert checks["role"].status == "problem"
    assert "role create" in checks["role"].fix
    assert "role trust" not in checks
    elsewhere = one(account, Settings(execution_role="arn:aws:iam::999999999999:role/none"), "role")
    assert "is not a role of account 123456789012" in elsewhere.text


def test_role_that_lambda_may_not_assume(local_aws: Any, account: Cloud, namespace: str) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    made = local_aws.client("iam").create_role(
        RoleName=namespace, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust})
    )
    checks = examined(account, Settings(execution_role=made["Role"]["Arn"]))
    assert (checks["role"].status, checks["role trust"].status) == ("ok", "problem")


def test_role_permissions_are_read_where_they_cannot_be_simulated(
    local_aws: Any, account: Cloud, network: Network, namespace: str
) -> None:
    settings = network.settings(namespace=namespace)
    role = create_role(account, settings.replace(efs=()))
    settings, name = settings.replace(execution_role=role), role.rpartition("/")[2]

    found = one(account, settings, "role permissions")
    assert found.status == "problem"
    assert "elasticfilesystem:ClientMount, elasticfilesystem:ClientWrite" in found.text

    iam = local_aws.client("iam")
    for policy in ("AmazonElasticFileSystemClientReadWriteAccess", "AmazonElasticFileSystemClientFullAccess"):
        iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
    found = one(account, settings, "role permissions")
    assert (found.status, "according to its policies" in found.text) == ("ok", True)

    denial = {"Effect": "Deny", "NotAction": "logs:*", "Resource": ["*"]}
    iam.put_role_policy(
        RoleName=name, PolicyName="no", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": denial})
    )
    found = one(account, settings, "role permissions")
    assert "s3:GetObject, s3:PutObject" in found.text
    assert "more permissions" in found.text
    assert "logs:" not in found.text


def test_role_permissions_are_simulated_where_that_is_allowed(account: Cloud, namespace: str) -> None:
    settings = Settings(namespace=namespace)
    settings = settings.replace(execution_role=create_role(account, settings))
    answer_instead(account.client("iam"), "SimulatePrincipalPolicy", simulation("logs:PutLogEvents"))
    found = one(account, settings, "role permissions")
    assert found.text == "According to IAM's simulation, the role lacks logs:PutLogEvents."


def test_own_permissions_are_simulated_for_the_role_behind_a_session(
    local_aws: Any, account: Cloud, namespace: str
) -> None:
    settings = Settings(namespace=namespace)
    settings = settings.replace(execution_role=create_role(account, settings))
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    made = local_aws.client("iam").create_role(
        RoleName=f"people-{namespace}", Path="/aws-reserved/", AssumeRolePolicyDocument=json.dumps({"Statement": trust})
    )["Role"]["Arn"]
    keys = local_aws.client("sts").assume_role(RoleArn=made, RoleSessionName="ada")["Credentials"]
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name="us-east-1")
    cloud, asked = cloud_of(local_aws, session), list[dict[str, Any]]()

    def answer(parameters: dict[str, Any]) -> dict[str, Any]:
        asked.append(parameters)
        result: dict[str, Any] = simulation("iam:PassRole")(parameters)
        return result

    answer_instead(cloud.client("iam"), "SimulatePrincipalPolicy", answer)
    found = one(cloud, settings, "your permissions")
    assert found.text == "According to IAM's simulation, you lack iam:PassRole."
    (passing,) = [parameters for parameters in asked if parameters["ActionNames"] == ["iam:PassRole"]]
    assert passing["PolicySourceArn"] == made
    assert passing["ResourceArns"] == [settings.execution_role]
    assert passing["ContextEntries"][0]["ContextKeyValues"] == ["lambda.amazonaws.com"]


def test_root_may_do_everything(local_aws: Any) -> None:
    cloud = cloud_of(local_aws)
    root = {"Arn": "arn:aws:iam::123456789012:root", "Account": "123456789012", "UserId": "123456789012"}
    answer_instead(cloud.client("sts"), "GetCallerIdentity", lambda _: root)
    found = one(cloud, Settings(execution_role="arn:aws:iam::123456789012:role/r"), "your permissions")
    assert (found.status, "root user" in found.text) == ("ok", True)


def test_bucket(local_aws: Any, account: Cloud, namespace: str) -> None:
    settings = Settings(namespace=namespace)
    assert "is created when needed" in one(account, settings, "bucket").text
    local_aws.client("s3").create_bucket(Bucket=bucket_name("123456789012", "us-east-1", namespace))
    assert one(account, settings, "bucket").text.endswith("exists and belongs to this account.")


def test_subnets(local_aws: Any, account: Cloud, network: Network) -> None:
    missing = one(account, network.settings(subnets=(*network.subnets, "subnet-nowhere")), "subnets")
    assert missing.text == "There is no subnet-nowhere in us-east-1."
    ec2 = local_aws.client("ec2")
    other = next(s for s in ec2.describe_subnets()["Subnets"] if s["VpcId"] != network.vpc)
    mixed = examined(account, network.settings(subnets=(network.subnets[0], other["SubnetId"])))
    assert mixed["subnets"].text.startswith("The subnets are in several VPCs: ")
    assert "S3 from the VPC" not in mixed


def test_security_groups(local_aws: Any, account: Cloud, network: Network) -> None:
    missing = one(account, network.settings(security_groups=("sg-nowhere",)), "security groups")
    assert missing.text == "There is no sg-nowhere in us-east-1."
    default = local_aws.client("ec2").describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
    foreign = local_aws.client("ec2").create_security_group(
        GroupName=f"foreign-{network.vpc}", Description="d", VpcId=default["VpcId"]
    )["GroupId"]
    found = one(account, network.settings(security_groups=(network.group, foreign)), "security groups")
    assert found.text == f"Not in the VPC of the subnets ({network.vpc}): {foreign}."


def test_no_way_to_s3_until_there_is_one(local_aws: Any, account: Cloud, network: Network) -> None:
    ec2, settings = local_aws.client("ec2"), network.settings()
    cut_off = one(account, settings, "S3 from the VPC")
    assert (cut_off.status, all(subnet in cut_off.text for subnet in network.subnets)) == ("problem", True)
    assert f"--vpc-id {network.vpc} --service-name com.amazonaws.us-east-1.s3" in cut_off.fix
    assert cut_off.fix.endswith(f"--route-table-ids {network.table}")

    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    ec2.create_route(RouteTableId=network.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    assert one(account, settings, "S3 from the VPC").status == "problem"

    own = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=own, SubnetId=network.subnets[0])
    nat = ec2.create_nat_gateway(SubnetId=network.subnets[1])["NatGateway"]["NatGatewayId"]
    ec2.create_route(RouteTableId=own, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    half = one(account, settings, "S3 from the VPC")
    assert (network.subnets[0] in half.text, network.subnets[1] in half.text) == (False, True)

    add_endpoint(local_aws, network, RouteTableIds=[network.table])
    assert one(account, settings, "S3 from the VPC").text == "Functions reach S3 from every subnet."


def test_an_interface_endpoint_is_a_way_to_s3(local_aws: Any, account: Cloud, network: Network) -> None:
    add_endpoint(
        local_aws, network, VpcEndpointType="Interface", PrivateDnsEnabled=True, SubnetIds=list(network.subnets)
    )
    found = one(account, network.settings(), "S3 from the VPC")
    assert found.text == "Functions reach S3 through an interface endpoint."


def test_access_point(account: Cloud, network: Network) -> None:
    checks = examined(account, network.settings(efs=(FileSystem(NO_POINT, "/mnt/data"),)))
    assert checks["access point"].text == f"There is no access point {NO_POINT}."
    assert "mount targets" not in checks


def test_a_zone_without_mount_target(local_aws: Any, account: Cloud, network: Network) -> None:
    ec2 = local_aws.client("ec2")
    third = ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.0.9.0/24", AvailabilityZone="us-east-1c")["Subnet"]
    assert one(account, network.settings(), "mount targets").status == "ok"
    found = one(account, network.settings(subnets=(*network.subnets, third["SubnetId"])), "mount targets")
    assert found.text == f"{network.file_system} has no mount target in us-east-1c of {network.vpc}."


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ({}, "problem"),
        ({"IpRanges": [{"CidrIp": "10.0.0.0/24"}]}, "problem"),
        ({"IpRanges": [{"CidrIp": "10.0.0.0/16"}]}, "ok"),
        ({"IpRanges": [{"CidrIp": "10.0.0.0/16"}], "FromPort": 22, "ToPort": 22}, "problem"),
        ({"IpRanges": [{"CidrIp": "0.0.0.0/0"}], "IpProtocol": "-1"}, "ok"),
    ],
)
def test_nfs_port(local_aws: Any, account: Cloud, network: Network, source: dict[str, Any], status: str) -> None:
    if source:
        open_nfs(local_aws, network, **source)
    found = one(account, network.settings(), "NFS port")
    assert found.status == status
    if status == "problem":
        assert network.group in found.fix


def test_nfs_port_closed_on_the_way_out(local_aws: Any, account: Cloud, network: Network) -> None:
    open_nfs(local_aws, network, IpRanges=[{"CidrIp": "10.0.0.0/16"}])
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    local_aws.client("ec2").revoke_security_group_egress(GroupId=network.group, IpPermissions=[everything])
    found = one(account, network.settings(), "NFS port")
    assert found.text == "The functions' security groups do not allow outgoing NFS traffic."


def test_s3_files_are_examined_like_efs(local_aws: Any, account: Cloud, network: Network) -> None:
    open_nfs(local_aws, network, IpRanges=[{"CidrIp": "10.0.0.0/16"}])
    make: Any = account.client
    client = make("s3files")
    zones = {s["SubnetId"]: s for s in local_aws.client("ec2").describe_subnets()["Subnets"]}
    targets = [
        {
            "mountTargetId": f"fsmt-{subnet}",
            "vpcId": network.vpc,
            "availabilityZoneId": zones[subnet]["AvailabilityZoneId"],
        }
        for subnet in network.subnets
    ]
    answer_instead(client, "GetAccessPoint", lambda _: {"fileSystemId": "fs-1"})
    answer_instead(client, "ListMountTargets", lambda _: {"mountTargets": targets})
    answer_instead(client, "GetMountTarget", lambda _: {"securityGroups": [network.target_group]})
    arn = "arn:aws:s3files:us-east-1:123456789012:file-system/fs-1/access-point/fsap-1"
    settings = network.settings(efs=(FileSystem(arn, "/mnt/data"),))
    checks = examined(account, settings)
    assert [checks[name].status for name in ("access point", "mount targets", "NFS port")] == ["ok"] * 3


def test_s3_files_access_point_missing_or_denied(account: Cloud, network: Network) -> None:
    make: Any = account.client
    arn = "arn:aws:s3files:us-east-1:123456789012:file-system/fs-1/access-point/fsap-1"
    settings = network.settings(efs=(FileSystem(arn, "/mnt/data"),))
    for code, text in [
        ("ResourceNotFoundException", f"There is no access point {arn}."),
        ("AccessDeniedException", "Could not check: needs s3files:GetAccessPoint."),
    ]:
        client = make("s3files")
        answer_instead(client, "GetAccessPoint", lambda _, code=code: {"Error": {"Code": code, "Message": "no"}})  # type: ignore[misc]
        assert one(account, settings, "access point").text == text
        account._clients.clear()


def limits(concurrent: int, used: int) -> dict[str, Any]:
    return {
        "AccountLimit": {"UnreservedConcurrentExecutions": concurrent, "TotalCodeSize": 300 * 2**30},
        "AccountUsage": {"TotalCodeSize": used * 2**30},
    }


@pytest.mark.parametrize(
    ("concurrent", "used", "statuses"),
    [(1000, 10, ("ok", "ok")), (10, 10, ("problem", "ok")), (1000, 290, ("ok", "problem"))],
)
def test_limits(account: Cloud, concurrent: int, used: int, statuses: tuple[str, str]) -> None:
    answer_instead(account.client("lambda"), "GetAccountSettings", lambda _: limits(concurrent, used))
    checks = examined(account, Settings())
    assert (checks["concurrency"].status, checks["code storage"].status) == statuses


def test_more_workers_than_the_account_allows(account: Cloud) -> None:
    answer_instead(account.client("lambda"), "GetAccountSettings", lambda _: limits(1000, 0))
    found = one(account, Settings(max_workers=5000), "concurrency")
    assert found.text == "max_workers is 5000, but 1,000 functions can run at once."


def test_limits_that_may_not_be_read(account: Cloud) -> None:
    refuse(account.client("lambda"), "GetAccountSettings", "AccessDeniedException")
    refuse(account.client("lambda"), "ListFunctions", "AccessDeniedException")
    checks = examined(account, Settings())
    assert checks["concurrency"].text == "Could not check: needs lambda:GetAccountSettings."
    assert checks["invocation"].text == "Could not check: needs lambda:ListFunctions."


def test_a_function_that_may_not_be_invoked(local_aws: Any, account: Cloud, namespace: str) -> None:
    settings = Settings(namespace=namespace)
    request = creation_request(settings, create_role(account, settings), minimal_zip())
    local_aws.client("lambda").create_function(**request)
    try:
        refuse(account.client("lambda"), "Invoke", "AccessDeniedException")
        found = one(account, settings, "invocation")
    finally:
        local_aws.client("lambda").delete_function(FunctionName=request["FunctionName"])
    assert found.status == "problem"
    assert found.fix == "Ask for the permission lambda:InvokeFunction."
