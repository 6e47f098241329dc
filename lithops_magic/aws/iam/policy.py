"""IAM policies as documents: exactly the permissions that the function's role and the notebook's user need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lithops_magic.aws.definition import FUNCTION_HASH, LAYER_HASH, start_of_names
from lithops_magic.aws.storage.bucket import CACHE, JOB_PREFIX, RESULTS, partition
from lithops_magic.aws.storage.names import FILES, TEMPORARY
from lithops_magic.config import FileSystem, Settings
from lithops_magic.config.problems import IMAGE

Document = dict[str, Any]
"""A policy document, ready for `json.dumps`."""

SENT = ("objects", "packages")
"""Key prefixes of what the notebook sends: functions, items, and packages too large for layers."""

EXECUTION_ROLE = "lithops-magic-execution"

ATTACH_TO_VPC = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
"""What Lambda needs to attach a function to a VPC (AWS managed policy AWSLambdaVPCAccessExecutionRole, version 3)."""


@dataclass(frozen=True, slots=True)
class Region:
    """An account and a region, for writing ARNs."""

    account: str
    region: str

    @property
    def partition(self) -> str:
        """The AWS partition of the region, such as ``aws-cn``."""
        return partition(self.region)

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of the region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def functions(self, settings: Settings) -> str:
        """Return the ARN pattern of this namespace's functions."""
        return self.arn("lambda", f"function:{_named(settings, FUNCTION_HASH)}")

    def layers(self, settings: Settings) -> str:
        """Return the ARN pattern of this namespace's package layers."""
        return self.arn("lambda", f"layer:{_named(settings, LAYER_HASH)}")

    def log_group(self, settings: Settings) -> str:
        """Return the ARN pattern of the log groups of this namespace's functions."""
        return self.arn("logs", f"log-group:/aws/lambda/{_named(settings, FUNCTION_HASH)}")

    def objects(self, bucket: str, prefix: str = JOB_PREFIX) -> str:
        """Return the ARN pattern of our objects with this key prefix."""
        return f"arn:{self.partition}:s3:::{bucket}/{prefix}*"


def _named(settings: Settings, digits: int) -> str:
    """Return the pattern of this namespace's names; the number of digits keeps it from matching other namespaces."""
    return start_of_names(settings) + "?" * digits


def role_name(settings: Settings) -> str:
    """Return the name of the execution role that we create for this namespace."""
    return f"{EXECUTION_ROLE}-{settings.namespace}" if settings.namespace else EXECUTION_ROLE


def execution_policy(settings: Settings, account: str, region: str, bucket: str) -> Document:
    """Return the function's permissions: write its log, read what was sent, keep results, use configured resources.

    Statements named Optional… are for programs written for Lithops, which list and delete objects they stored.
    """
    place = Region(account, region)
    logs = place.log_group(settings)
    # Bucket names are global, and their ARNs name no account: the grants must not extend to another account's bucket.
    ours = {"StringEquals": {"aws:ResourceAccount": account}}
    return _document(
        [
            _allow(
                "Logs",
                ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                [logs, f"{logs}:*"],
            ),
            _allow("Results", ["s3:GetObject", "s3:PutObject"], place.objects(bucket, RESULTS), ours),
            # Read-only: other jobs' sandboxes would run what a task writes here.
            _allow("Sent", ["s3:GetObject"], [place.objects(bucket, f"{JOB_PREFIX}{kind}/") for kind in SENT], ours),
            *_files(place, bucket, ours),
            *(_network(settings, place) if settings.subnets else ()),
            *(_mount(entry, place, number) for number, entry in enumerate(settings.efs)),
        ]
    )


def _files(place: Region, bucket: str, ours: Document) -> Iterable[Document]:
    kept = (TEMPORARY, FILES)
    yield _allow("OptionalFiles", ["s3:DeleteObject"], [place.objects(bucket, each) for each in kept], ours)
    listed = {**ours, "StringLike": {"s3:prefix": [f"{each}*" for each in kept]}}
    yield _allow("OptionalFilesListed", ["s3:ListBucket"], f"arn:{place.partition}:s3:::{bucket}", listed)


def data_policy(place: Region, readable: Iterable[str], writable: Iterable[str]) -> Document:
    """Return the permissions for reading from, and writing to, the user's own buckets."""
    return _document(_data(place, readable, writable))


def with_data(document: Document, place: Region, readable: Iterable[str], writable: Iterable[str]) -> Document:
    """Return a policy extended by permissions to read from, and write to, the user's own buckets."""
    return _document([*document["Statement"], *_data(place, readable, writable)])


def nested_policy(place: Region, settings: Settings) -> Document:
    """Return the permissions for starting a job within a task: the task invokes its own function."""
    return _document([_allow("Nested", ["lambda:InvokeFunction"], place.functions(settings))])


def _data(place: Region, readable: Iterable[str], writable: Iterable[str]) -> Iterable[Document]:
    writable = tuple(dict.fromkeys(writable))
    buckets = tuple(dict.fromkeys([*readable, *writable]))
    if buckets:
        # Without the list permission, S3 does not distinguish missing from forbidden objects.
        yield _allow("DataLists", ["s3:ListBucket"], [f"arn:{place.partition}:s3:::{each}" for each in buckets])
        yield _allow("DataRead", ["s3:GetObject", "s3:GetObjectVersion"], [place.objects(each, "") for each in buckets])
    if writable:
        yield _allow("DataWritten", ["s3:DeleteObject", "s3:PutObject"], [place.objects(each, "") for each in writable])


def user_policy(settings: Settings, account: str, region: str, bucket: str, role: str) -> Document:
    """Return the permissions of the notebook's user; statements named Optional… serve only checks and the form."""
    place = Region(account, region)
    return _document([*_runs(settings, place, role), *_storage(place, bucket), *_lookups(settings), *_optional(role)])


def _runs(settings: Settings, place: Region, role: str) -> Iterable[Document]:
    functions = place.functions(settings)
    yield _allow(
        "Functions",
        [
            "lambda:CreateFunction",
            "lambda:DeleteFunction",
            "lambda:GetFunction",
            "lambda:InvokeFunction",
            "lambda:ListTags",
            "lambda:TagResource",
        ],
        [functions, f"{functions}:*"],
    )
    layers = place.layers(settings)
    yield _allow(
        "Packages",
        [
            "lambda:DeleteLayerVersion",
            "lambda:GetLayerVersion",
            "lambda:ListLayerVersions",
            "lambda:PublishLayerVersion",
        ],
        [layers, f"{layers}:*"],
    )
    logs = place.log_group(settings)
    yield _allow(
        "Logs", ["logs:CreateLogGroup", "logs:FilterLogEvents", "logs:PutRetentionPolicy"], [logs, f"{logs}:*"]
    )
    yield _allow(
        "Account",
        ["lambda:GetAccountSettings", "lambda:ListFunctions", "lambda:ListLayers", "logs:DescribeLogGroups"],
        "*",
    )
    yield _allow("ExecutionRole", ["iam:GetRole"], role)
    yield _allow(
        "PassExecutionRole",
        ["iam:PassRole"],
        role,
        {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
    )
    if settings.layers:
        yield _allow("Layers", ["lambda:GetLayerVersion"], list(settings.layers))
    if image := IMAGE.fullmatch(settings.runtime or ""):
        # Lambda reads the image on our behalf and, if necessary, adds that permission to the repository's policy.
        yield _allow(
            "Image",
            ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy"],
            f"arn:{place.partition}:ecr:{image['region']}:{image['account']}:repository/{image['repository']}",
        )


def _storage(place: Region, bucket: str) -> Iterable[Document]:
    yield _allow(
        "JobBucket",
        [
            "s3:CreateBucket",
            "s3:GetBucketPolicy",
            "s3:GetLifecycleConfiguration",
            "s3:ListBucket",
            "s3:PutBucketPolicy",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
        ],
        f"arn:{place.partition}:s3:::{bucket}",
    )
    # Only the notebook may write cached values: other notebooks would unpickle what a task writes there.
    objects = [place.objects(bucket), place.objects(bucket, CACHE)]
    yield _allow("JobObjects", ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], objects)


def _lookups(settings: Settings) -> Iterable[Document]:
    """Lookups that Lambda makes with the caller's permissions when it creates a function in a VPC."""
    if settings.subnets:
        yield _allow("Network", ["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"], "*")
    if any(":elasticfilesystem:" in entry.access_point for entry in settings.efs):
        yield _allow("FileSystem", ["elasticfilesystem:DescribeMountTargets"], "*")
    if any(":s3files:" in entry.access_point for entry in settings.efs):
        yield _allow("S3Files", ["s3files:GetAccessPoint", "s3files:ListMountTargets"], "*")


def _optional(role: str) -> Iterable[Document]:
    yield _allow(
        "OptionalDoctor",
        [
            "cloudwatch:GetMetricStatistics",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcEndpoints",
            "elasticfilesystem:DescribeAccessPoints",
            "elasticfilesystem:DescribeMountTargetSecurityGroups",
            "elasticfilesystem:DescribeMountTargets",
            "iam:GetPolicy",
            "iam:GetPolicyVersion",
            "iam:SimulatePrincipalPolicy",
            "s3files:GetAccessPoint",
            "s3files:GetMountTarget",
            "s3files:ListMountTargets",
        ],
        "*",
    )
    yield _allow(
        "OptionalDoctorRole", ["iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"], role
    )
    yield _allow(
        "OptionalForm",
        [
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
            "elasticfilesystem:DescribeAccessPoints",
            "elasticfilesystem:DescribeMountTargets",
            "iam:ListRoles",
            "s3:ListAllMyBuckets",
            "s3files:ListAccessPoints",
            "s3files:ListFileSystems",
            "s3files:ListMountTargets",
        ],
        "*",
    )


def _network(settings: Settings, place: Region) -> Iterable[Document]:
    yield _allow("Network", list(ATTACH_TO_VPC), "*")
    # These permissions are for Lambda itself; the function's code has the same role and must not use them.
    yield {
        "Sid": "NetworkNotForTheCode",
        "Effect": "Deny",
        "Action": [*ATTACH_TO_VPC, "ec2:DetachNetworkInterface"],
        "Resource": "*",
        "Condition": {"ArnLike": {"lambda:SourceFunctionArn": place.functions(settings)}},
    }


def _mount(entry: FileSystem, place: Region, number: int) -> Document:
    service = entry.access_point.split(":")[2] if entry.access_point.count(":") >= 5 else "elasticfilesystem"
    # The ARN of an S3 Files access point contains its file system; that of an EFS access point does not.
    named = entry.access_point.rpartition("/access-point/")[0]
    return _allow(
        "FileSystem" if number == 0 else f"FileSystem{number + 1}",
        [f"{service}:ClientMount", f"{service}:ClientWrite"],
        named or place.arn("elasticfilesystem", "file-system/*"),
        {"StringEquals": {f"{service}:AccessPointArn": entry.access_point}},
    )


def _allow(sid: str, actions: list[str], resource: str | list[str], condition: Document | None = None) -> Document:
    statement: Document = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}
    return statement if condition is None else {**statement, "Condition": condition}


def _document(statements: Iterable[Document]) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}
