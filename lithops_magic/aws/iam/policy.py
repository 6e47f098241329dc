"""IAM policies as documents: what the function's role and the notebook's user need, and nothing more."""

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
"""A policy, ready for `json.dumps`."""

SENT = ("objects", "packages")
"""What the notebook puts beside the results: functions and items, and packages that are too large for layers."""

EXECUTION_ROLE = "lithops-magic-execution"

ATTACH_TO_VPC = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
"""What Lambda needs to connect a function to a VPC (AWS managed policy AWSLambdaVPCAccessExecutionRole, version 3)."""


@dataclass(frozen=True, slots=True)
class Region:
    """An account and a region, for writing ARNs."""

    account: str
    region: str

    @property
    def partition(self) -> str:
        """The part of AWS that the region is in, such as ``aws-cn``."""
        return partition(self.region)

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of the region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def functions(self, settings: Settings) -> str:
        """Return the ARN pattern of this namespace's functions."""
        return self.arn("lambda", f"function:{_named(settings, FUNCTION_HASH)}")

    def layers(self, settings: Settings) -> str:
        """Return the ARN pattern of this namespace's layers of packages."""
        return self.arn("lambda", f"layer:{_named(settings, LAYER_HASH)}")

    def log_group(self, settings: Settings) -> str:
        """Return the ARN pattern of the log groups of this namespace's functions."""
        return self.arn("logs", f"log-group:/aws/lambda/{_named(settings, FUNCTION_HASH)}")

    def objects(self, bucket: str, prefix: str = JOB_PREFIX) -> str:
        """Return the ARN pattern of the objects we store whose keys begin like that."""
        return f"arn:{self.partition}:s3:::{bucket}/{prefix}*"


def _named(settings: Settings, digits: int) -> str:
    """Return the pattern of this namespace's names: so many digits, or it would be that of other namespaces too."""
    return start_of_names(settings) + "?" * digits


def role_name(settings: Settings) -> str:
    """Return the name of the execution role we create for this namespace."""
    return f"{EXECUTION_ROLE}-{settings.namespace}" if settings.namespace else EXECUTION_ROLE


def execution_policy(settings: Settings, account: str, region: str, bucket: str) -> Document:
    """Return what the function may do: write its log, read what was sent, keep results, reach what is configured.

    Statements named Optional… are for programs written for Lithops, which list and delete what they have put.
    """
    place = Region(account, region)
    logs = place.log_group(settings)
    ours = {"StringEquals": {"aws:ResourceAccount": account}}
    return _document(
        [
            _allow(
                "Logs",
                ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                [logs, f"{logs}:*"],
            ),
            _allow("Results", ["s3:GetObject", "s3:PutObject"], place.objects(bucket, RESULTS), ours),
            # What a task could write here, another job's sandboxes would run.
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
    """Return what reading from buckets of the user's own takes, and writing to them."""
    return _document(_data(place, readable, writable))


def with_data(document: Document, place: Region, readable: Iterable[str], writable: Iterable[str]) -> Document:
    """Return a policy that allows as well to read from buckets of the user's own, and to write to them."""
    return _document([*document["Statement"], *_data(place, readable, writable)])


def nested_policy(place: Region, settings: Settings) -> Document:
    """Return what starting a job from within a task takes: a task invokes its own function."""
    return _document([_allow("Nested", ["lambda:InvokeFunction"], place.functions(settings))])


def _data(place: Region, readable: Iterable[str], writable: Iterable[str]) -> Iterable[Document]:
    writable = tuple(dict.fromkeys(writable))
    buckets = tuple(dict.fromkeys([*readable, *writable]))
    if buckets:
        # Without the list, S3 does not say whether an object is missing or forbidden.
        yield _allow("DataLists", ["s3:ListBucket"], [f"arn:{place.partition}:s3:::{each}" for each in buckets])
        yield _allow("DataRead", ["s3:GetObject", "s3:GetObjectVersion"], [place.objects(each, "") for each in buckets])
    if writable:
        yield _allow("DataWritten", ["s3:DeleteObject", "s3:PutObject"], [place.objects(each, "") for each in writable])


def user_policy(settings: Settings, account: str, region: str, bucket: str, role: str) -> Document:
    """Return what the notebook's user needs; the statements named Optional… only serve checks and the form."""
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
        # Lambda reads the image for us, and where the repository's policy does not say so yet, writes that into it.
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
    # Cached values are the notebook's alone: what a task could write there, other notebooks would unpickle.
    objects = [place.objects(bucket), place.objects(bucket, CACHE)]
    yield _allow("JobObjects", ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], objects)


def _lookups(settings: Settings) -> Iterable[Document]:
    """What Lambda looks up with the caller's permissions when it creates a function in a VPC."""
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
    # The permissions are for Lambda itself; the code in the function runs with the same role and must not have them.
    yield {
        "Sid": "NetworkNotForTheCode",
        "Effect": "Deny",
        "Action": [*ATTACH_TO_VPC, "ec2:DetachNetworkInterface"],
        "Resource": "*",
        "Condition": {"ArnLike": {"lambda:SourceFunctionArn": place.functions(settings)}},
    }


def _mount(entry: FileSystem, place: Region, number: int) -> Document:
    service = entry.access_point.split(":")[2] if entry.access_point.count(":") >= 5 else "elasticfilesystem"
    # The ARN of an EFS access point does not name its file system; that of an S3 Files one does.
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
