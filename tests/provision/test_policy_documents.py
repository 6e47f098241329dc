"""The policies grant what the code calls, on our own resources, and nothing else."""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

import lithops_magic
from lithops_magic.aws.account.permission_errors import permission
from lithops_magic.aws.definition import start_of_names
from lithops_magic.aws.iam.policy import execution_policy, user_policy
from lithops_magic.aws.iam.read_policy import not_granted, trusts_lambda
from lithops_magic.config import FileSystem, Settings
from provision_help import Network

ACCOUNT, REGION, BUCKET = "123456789012", "eu-west-1", "bucket"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/lithops-magic-execution"
S3_FILES = "arn:aws:s3files:eu-west-1:123456789012:file-system/fs-0123456789abcdef0/access-point/fsap-0123456789abcdef0"
EFS = "arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-0123456789abcdef0"

EVERYTHING = Settings(
    execution_role=ROLE,
    subnets=("subnet-1",),
    security_groups=("sg-1",),
    efs=(FileSystem(EFS, "/mnt/a"), FileSystem(S3_FILES, "/mnt/b")),
    layers=("arn:aws:lambda:eu-west-1:123456789012:layer:mine:1",),
)

OTHER_NAMES = {
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
}
"""Operations and their permissions where they differ (AWS's service authorization reference)."""

NO_PERMISSION_NEEDED = {"sts:GetCallerIdentity"}

WITH_THE_CALL = {
    "iam:PassRole": "CreateFunction passes the role",
    "lambda:TagResource": "CreateFunction sets tags",
    "s3:PutBucketOwnershipControls": "CreateBucket sets the object ownership",
}
"""Permissions that AWS demands for an operation of another name."""

ADMINISTRATION = {"create_role.py", "role.py"}
"""Modules that write to IAM: for an administrator, or the local AWS."""


def policy(settings: Settings = EVERYTHING, region: str = REGION) -> dict[str, Any]:
    return user_policy(settings, ACCOUNT, region, BUCKET, ROLE)


def statements(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By Sid, which also shows that no two have the same."""
    named = {statement["Sid"]: statement for statement in document["Statement"]}
    assert len(named) == len(document["Statement"])
    return named


def actions(document: dict[str, Any], *, optional: bool = True) -> set[str]:
    return {
        action
        for sid, statement in statements(document).items()
        if statement["Effect"] == "Allow" and (optional or not sid.startswith("Optional"))
        for action in statement["Action"]
    }


@cache
def operations(service: str) -> dict[str, str]:
    """Python name to operation."""
    return {xform_name(name): name for name in botocore.session.Session().get_service_model(service).operation_names}


def called(source: Path) -> Iterator[frozenset[str]]:
    """Yield, for each name of a boto3 call in a module, its permission with each service that the module uses."""
    calls = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)]
    texts = {
        argument.value
        for node in calls
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    services = {"lambda", "iam", "sts", "s3", "ec2", "efs", "s3files", "logs", "cloudwatch"} & texts
    for name in texts | {node.func.attr for node in calls if isinstance(node.func, ast.Attribute)}:
        needed = [permission(service, found) for service in services if (found := operations(service).get(name))]
        if needed:
            yield frozenset(OTHER_NAMES.get(action, action) for action in needed)


@cache
def used() -> set[frozenset[str]]:
    root = Path(lithops_magic.__file__).parent
    sources = [path for part in ("aws", "engine", "notebook", "config") for path in (root / part).rglob("*.py")]
    found = {choice for path in sources if path.name not in ADMINISTRATION for choice in called(path)}
    return {choice for choice in found if not choice <= NO_PERMISSION_NEEDED}


@pytest.mark.no_cover
def test_every_call_of_our_code_is_granted() -> None:
    for known in ("lambda:InvokeFunction", "lambda:CreateFunction", "ec2:DescribeVpcs", "s3:CreateBucket"):
        assert frozenset([known]) in used()
    granted = actions(policy())
    assert [choice for choice in used() if not choice & granted] == []


def test_nothing_is_granted_that_our_code_does_not_need() -> None:
    assert actions(policy()) - set[str]().union(*used()) == set(WITH_THE_CALL)


def test_nothing_is_granted_by_wildcard_or_on_everything_that_writes() -> None:
    for document in (policy(), execution_policy(EVERYTHING, ACCOUNT, REGION, BUCKET)):
        for sid, statement in statements(document).items():
            assert not any("*" in action for action in statement["Action"])
            if statement["Resource"] == "*" and statement["Effect"] == "Allow" and sid != "Network":
                verbs = {action.partition(":")[2] for action in statement["Action"]}
                assert all(verb.startswith(("Describe", "Get", "List", "Simulate")) for verb in verbs), sid


def test_the_role_may_be_passed_to_lambda_only() -> None:
    passing = statements(policy())["PassExecutionRole"]
    assert passing["Resource"] == ROLE
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}


def test_functions_are_this_namespaces() -> None:
    functions = statements(policy(EVERYTHING.replace(namespace="lab")))["Functions"]
    start = "arn:aws:lambda:eu-west-1:123456789012:function:lithops-magic-lab-????????????"
    assert functions["Resource"] == [start, f"{start}:*"]


def test_no_namespace_covers_another() -> None:
    names = [None, "lab", "lab-2", "la"]
    for kind, digits in (("function:", 12), ("layer:", 16), ("log-group:/aws/lambda/", 12)):
        for granted, other in itertools.permutations(names, 2):
            settings = EVERYTHING.replace(namespace=granted)
            service = "logs" if kind.startswith("log") else "lambda"
            start = f"arn:aws:{service}:{REGION}:{ACCOUNT}:{kind}"
            theirs = start + start_of_names(Settings(namespace=other)) + "0" * digits
            ours = start + start_of_names(settings) + "0" * digits
            documents = [policy(settings), execution_policy(settings, ACCOUNT, REGION, BUCKET)]
            wanted = [{"Action": ["any:Thing"], "Resource": name} for name in (ours, theirs, f"{theirs}:stream")]
            patterns = [{**entry, "Action": "any:*"} for document in documents for entry in document["Statement"]]
            patterns = [entry for entry in patterns if entry["Effect"] == "Allow" and entry["Resource"] != "*"]
            assert not_granted([{"Statement": patterns}], wanted) == ["any:Thing"] * 2


def test_lookups_depend_on_the_configuration() -> None:
    plain = actions(policy(Settings()), optional=False)
    assert not any(action.startswith(("ec2:", "elasticfilesystem:", "s3files:")) for action in plain)
    full = actions(policy(), optional=False)
    assert {"ec2:DescribeVpcs", "elasticfilesystem:DescribeMountTargets", "s3files:ListMountTargets"} <= full


def test_lambda_may_read_the_image() -> None:
    image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/team/tools:1@sha256:{'0' * 64}"
    granted = statements(policy(EVERYTHING.replace(runtime=image)))["Image"]
    assert granted["Resource"] == f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/team/tools"
    assert "ecr:SetRepositoryPolicy" in granted["Action"]
    assert "Image" not in statements(policy(EVERYTHING.replace(runtime="no image")))


def test_the_function_may_write_its_log_and_its_objects() -> None:
    found = statements(execution_policy(Settings(), ACCOUNT, REGION, BUCKET))
    assert set(found) == {"Logs", "Results", "Sent", "OptionalFiles", "OptionalFilesListed"}
    group = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/lithops-magic-????????????"
    assert found["Logs"]["Resource"] == [group, f"{group}:*"]
    assert found["Results"]["Action"] == ["s3:GetObject", "s3:PutObject"]
    assert found["Results"]["Resource"] == "arn:aws:s3:::bucket/lithops-magic/jobs/*"
    assert found["Results"]["Condition"] == {"StringEquals": {"aws:ResourceAccount": ACCOUNT}}


def test_the_function_may_not_write_what_other_sandboxes_run() -> None:
    document = execution_policy(Settings(), ACCOUNT, REGION, BUCKET)
    for key in ("layers/0.zip", "packages/0.zip", "objects/0", "other"):
        wanted = {"Action": ["s3:PutObject"], "Resource": f"arn:aws:s3:::bucket/lithops-magic/{key}"}
        assert not_granted([document], [wanted]) == ["s3:PutObject"]
    for key in ("packages/0.zip", "objects/0", "jobs/0/1"):
        wanted = {"Action": ["s3:GetObject"], "Resource": f"arn:aws:s3:::bucket/lithops-magic/{key}"}
        assert not_granted([document], [wanted]) == []


def test_the_function_may_list_and_delete_what_programs_put_there_and_nothing_else() -> None:
    document = execution_policy(Settings(), ACCOUNT, REGION, BUCKET)
    for key, missing in {"tmp/a": [], "files/a": [], "0/1": ["s3:DeleteObject"]}.items():
        wanted = {"Action": ["s3:DeleteObject"], "Resource": f"arn:aws:s3:::bucket/lithops-magic/jobs/{key}"}
        assert not_granted([document], [wanted]) == missing
    listed = statements(document)["OptionalFilesListed"]
    assert listed["Resource"] == "arn:aws:s3:::bucket"
    assert listed["Condition"]["StringLike"] == {
        "s3:prefix": ["lithops-magic/jobs/tmp/*", "lithops-magic/jobs/files/*"]
    }


def test_network_rights_are_kept_from_the_code_in_the_function(network: Network) -> None:
    found = statements(execution_policy(network.settings(efs=()), ACCOUNT, REGION, BUCKET))
    denial = found["NetworkNotForTheCode"]
    assert set(found["Network"]["Action"]) < set(denial["Action"])
    assert denial["Condition"] == {
        "ArnLike": {
            "lambda:SourceFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:lithops-magic-????????????"
        }
    }
    assert "FileSystem" not in found


def test_file_systems_are_mounted_through_their_access_point_only() -> None:
    found = statements(execution_policy(EVERYTHING, ACCOUNT, REGION, BUCKET))
    efs, s3_files = found["FileSystem"], found["FileSystem2"]
    assert efs["Action"] == ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
    assert efs["Resource"] == "arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/*"
    assert efs["Condition"] == {"StringEquals": {"elasticfilesystem:AccessPointArn": EFS}}
    assert s3_files["Action"] == ["s3files:ClientMount", "s3files:ClientWrite"]
    assert s3_files["Resource"] == S3_FILES.rpartition("/access-point/")[0]


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eu-west-1", "aws")]
)
def test_arns_are_of_the_regions_partition(region: str, partition: str) -> None:
    settings = Settings()
    documents = [
        execution_policy(settings, ACCOUNT, region, BUCKET),
        user_policy(settings, ACCOUNT, region, BUCKET, f"arn:{partition}:iam::{ACCOUNT}:role/r"),
    ]
    text = json.dumps(documents)
    assert text.count("arn:") == text.count(f"arn:{partition}:")


def test_policies_fit_where_they_go() -> None:
    # IAM quotas, without white space: 6,144 characters a managed policy, 10,240 all inline policies of a role.
    assert len(json.dumps(policy(), separators=(",", ":"))) < 6144
    execution = execution_policy(EVERYTHING.replace(namespace="n" * 37), ACCOUNT, REGION, BUCKET)
    assert len(json.dumps(execution, separators=(",", ":"))) < 10240 / 3


@pytest.mark.parametrize("document", [None, "x", {}, {"Statement": "x"}, {"Statement": [None, "x", 5, ["Allow"]]}])
def test_what_is_no_policy_allows_nothing(document: Any) -> None:
    assert not trusts_lambda(document)
    if isinstance(document, dict):
        assert not_granted([document], [{"Action": ["s3:PutObject"], "Resource": ["*"]}]) == ["s3:PutObject"]
