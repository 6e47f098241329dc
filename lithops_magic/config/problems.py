"""Explains problems in Settings and their remedies; limits as in AWS's quotas page and service model."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lithops_magic.config import limits, regions
from lithops_magic.config.settings import Settings

REGION = r"(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d"
ROLE_ARN = re.compile(r"arn:(?:aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
ACCESS_POINT_ARN = re.compile(
    rf"arn:aws[a-zA-Z-]*:elasticfilesystem:{REGION}:\d{{12}}:access-point/fsap-(?P<id>[a-f0-9]+)"
    r"|arn:aws[-a-z]*:s3files:[0-9a-z-]+:[0-9]{12}:file-system/fs-[0-9a-f]{17,40}/access-point/fsap-[0-9a-f]{17,40}"
)
LAYER_ARN = re.compile(rf"arn:(?:aws[a-zA-Z-]*)?:lambda:(?P<region>{REGION}):\d{{12}}:layer:[a-zA-Z0-9-_]+:[0-9]+")
IMAGE = re.compile(
    rf"(?P<account>\d{{12}})\.dkr\.ecr(?:-fips)?\.(?P<region>{REGION})\.amazonaws\.com(?:\.cn)?"
    r"/(?P<repository>[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*)(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
ENV_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")

RANGES = {"memory": limits.MEMORY, "timeout": limits.TIMEOUT, "ephemeral_storage": limits.TMP}
ARCHITECTURES = ("x86_64", "arm64")
MAX_SUBNETS, MAX_SECURITY_GROUPS, MAX_LAYERS = 16, 5, 5
MAX_ENVIRONMENT_BYTES = 4096
MAX_USER_TAGS = 48
"""AWS allows 50 tags; two of them identify the function's owner and creator."""
MAX_NAMESPACE = 37
"""A function name has at most 64 characters, 27 of which are the prefix and the hash."""

RESERVED_ENV_NAMES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)
"""Names that a function's configuration may not set (AWS Lambda developer guide, environment variables)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that AWS would reject."""

    field: str
    """Name of the field of Settings."""
    text: str
    fix: str

    def __str__(self) -> str:
        return f"{self.field}: {self.text} {self.fix}"


def find_problems(settings: Settings) -> list[Problem]:
    """Run all checks and return the problems found."""
    return [problem for check in CHECKS for problem in check(settings)]


def _place(settings: Settings) -> Iterator[Problem]:
    if settings.region is not None and settings.endpoint_url is None and regions.is_unknown(settings.region):
        text = f"{settings.region!r} is not a region that boto3 knows to have AWS Lambda."
        yield Problem("region", text, regions.advice(settings.region))
    if settings.execution_role is None:
        if not settings.local:
            yield Problem(
                "execution_role",
                "AWS Lambda needs a role for the function.",
                "Give the ARN of a role that lambda.amazonaws.com may assume, or use the local AWS.",
            )
    elif not ROLE_ARN.fullmatch(settings.execution_role):
        yield Problem(
            "execution_role",
            f"{settings.execution_role!r} is not a role's ARN.",
            "Write it like arn:aws:iam::123456789012:role/name.",
        )
    if settings.account_id is not None and not re.fullmatch(r"\d{12}", settings.account_id):
        yield Problem("account_id", f"{settings.account_id!r} is not an account number.", "Write its 12 digits.")
    if settings.namespace is not None and not re.fullmatch(rf"[a-zA-Z0-9-_]{{1,{MAX_NAMESPACE}}}", settings.namespace):
        yield Problem(
            "namespace",
            f"{settings.namespace!r} cannot be part of a function's name.",
            f"Use 1 to {MAX_NAMESPACE} letters, digits, - and _.",
        )


def _access(settings: Settings) -> Iterator[Problem]:
    if (settings.access_key_id is None) != (settings.secret_access_key is None):
        yield Problem(
            "access_key_id",
            "access_key_id and secret_access_key belong together.",
            "Give both, or neither to use boto3's own credentials.",
        )
    if settings.endpoint_url is not None and not re.fullmatch(r"https?://[^\s@/]+/?", settings.endpoint_url):
        yield Problem(
            "endpoint_url",
            "It is not the address of a server.",
            "Write it like https://host:port, without user, password or path.",
        )


def _sizes(settings: Settings) -> Iterator[Problem]:
    for name, (least, most, unit) in RANGES.items():
        value = getattr(settings, name)
        if not least <= value <= most:
            yield Problem(name, f"{value} {unit} is out of range.", f"AWS Lambda takes {least} to {most} {unit}.")
    if settings.architecture not in ARCHITECTURES:
        yield Problem(
            "architecture",
            f"{settings.architecture!r} is not an architecture of AWS Lambda.",
            f"Use {' or '.join(ARCHITECTURES)}.",
        )
    if settings.max_workers is not None and settings.max_workers < 1:
        yield Problem("max_workers", f"{settings.max_workers} is too few.", "Use 1 or more, or leave it out.")
    if settings.worker_processes < 1:
        yield Problem("worker_processes", f"{settings.worker_processes} is too few.", "Use 1 or more.")


def _network(settings: Settings) -> Iterator[Problem]:
    parts = (
        ("subnets", settings.subnets, MAX_SUBNETS, r"subnet-[0-9a-z]+", "subnet-0123456789abcdef0"),
        ("security_groups", settings.security_groups, MAX_SECURITY_GROUPS, r"sg-[0-9a-zA-Z]+", "sg-0123456789abcdef0"),
    )
    for name, values, most, pattern, example in parts:
        if len(values) > most:
            yield Problem(name, f"{len(values)} are too many.", f"AWS Lambda takes at most {most}.")
        for value in values:
            if not re.fullmatch(pattern, value):
                yield Problem(name, f"{value!r} is not an id.", f"Write it like {example}.")
    if settings.subnets and not settings.security_groups:
        yield Problem("security_groups", "A VPC needs subnets and security groups.", "Add at least one group.")
    if settings.security_groups and not settings.subnets:
        yield Problem("subnets", "A VPC needs subnets and security groups.", "Add at least one subnet.")


def _file_systems(settings: Settings) -> Iterator[Problem]:
    if len(settings.efs) > 1:
        yield Problem(
            "efs", f"{len(settings.efs)} file systems are listed.", "AWS Lambda mounts exactly one: keep one."
        )
    if settings.efs and not (settings.subnets and settings.security_groups):
        yield Problem("efs", "A file system is reached through a VPC.", "Add subnets and security groups.")
    for entry in settings.efs:
        if not _is_access_point(entry.access_point, settings):
            yield Problem(
                "efs",
                f"{entry.access_point!r} is not the ARN of an access point.",
                "Write it like arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-0123456789abcdef0.",
            )
        if len(entry.mount_path) > 160 or not re.fullmatch(r"/mnt/[a-zA-Z0-9-_.]+", entry.mount_path):
            yield Problem(
                "efs",
                f"{entry.mount_path!r} is not a mount path.",
                "Use /mnt/ and one name of letters, digits, - _ and .",
            )


def _is_access_point(arn: str, settings: Settings) -> bool:
    match = ACCESS_POINT_ARN.fullmatch(arn)
    # Outside AWS, IDs of access points are shorter.
    elsewhere = settings.local or settings.endpoint_url is not None
    return match is not None and (elsewhere or match["id"] is None or len(match["id"]) == 17)


def _environment(settings: Settings) -> Iterator[Problem]:
    for name in settings.env_vars:
        if name in RESERVED_ENV_NAMES:
            yield Problem("env_vars", f"{name} is set by AWS Lambda itself.", "Choose another name.")
        elif not ENV_NAME.fullmatch(name):
            yield Problem(
                "env_vars",
                f"{name!r} is not a name for an environment variable.",
                "Use two or more letters, digits and _, a letter first.",
            )
    # Measured as AWS does: all variables as one JSON object.
    size = len(json.dumps(dict(settings.env_vars), separators=(",", ":"), ensure_ascii=False).encode())
    if size > MAX_ENVIRONMENT_BYTES:
        yield Problem(
            "env_vars",
            f"Together they take {size} bytes.",
            f"AWS Lambda takes {MAX_ENVIRONMENT_BYTES}: pass large values as items or files.",
        )


def _tags(settings: Settings) -> Iterator[Problem]:
    if len(settings.user_tags) > MAX_USER_TAGS:
        yield Problem("user_tags", f"{len(settings.user_tags)} are too many.", f"Keep at most {MAX_USER_TAGS}.")
    for key, value in settings.user_tags.items():
        if not key or len(key) > 128 or key.lower().startswith("aws:") or not _is_tag_text(key):
            yield Problem(
                "user_tags",
                f"{key!r} is not a tag's name.",
                "Use 1 to 128 letters, digits, spaces and _.:/=+-@, not aws: first.",
            )
        if len(value) > 256 or not _is_tag_text(value):
            yield Problem(
                "user_tags",
                f"The value of {key!r} is not allowed.",
                "Use up to 256 letters, digits, spaces and _.:/=+-@.",
            )


def _is_tag_text(text: str) -> bool:
    return all(unicodedata.category(letter)[0] in "LZN" or letter in "_.:/=+-@" for letter in text)


def _layers(settings: Settings) -> Iterator[Problem]:
    if len(settings.layers) > MAX_LAYERS:
        yield Problem("layers", f"{len(settings.layers)} are too many.", f"AWS Lambda takes at most {MAX_LAYERS}.")
    for arn in settings.layers:
        match = LAYER_ARN.fullmatch(arn)
        if match is None:
            yield Problem(
                "layers",
                f"{arn!r} is not the ARN of a layer version.",
                "Write it like arn:aws:lambda:us-east-1:123456789012:layer:name:1.",
            )
        elif settings.region is not None and match["region"] != settings.region:
            yield Problem("layers", f"{arn} is not in {settings.region}.", "A layer must be in the function's region.")
    names = [arn.rpartition(":")[0] for arn in settings.layers]
    if len(set(names)) < len(names):
        yield Problem("layers", "One layer is listed twice.", "Keep one version of each.")


def _image(settings: Settings) -> Iterator[Problem]:
    if settings.runtime is None:
        return
    match = IMAGE.fullmatch(settings.runtime)
    name = settings.runtime.rpartition("/")[2]
    if match is None or not re.search("[:@]", name):
        yield Problem(
            "runtime",
            f"{settings.runtime!r} is not the address of a container image in ECR.",
            "Write it like 123456789012.dkr.ecr.us-east-1.amazonaws.com/name:tag (`lithops-magic image` helps to make "
            "one), or leave it out: packages come with the cell.",
        )
    elif settings.region is not None and match["region"] != settings.region:
        text = f"{settings.runtime} is not in {settings.region}."
        yield Problem("runtime", text, "An image must be in the function's region.")
    if settings.layers:
        yield Problem("layers", "A container image has no layers.", "Put what they hold into the image.")


CHECKS: tuple[Callable[[Settings], Iterator[Problem]], ...] = (
    _place,
    _access,
    _sizes,
    _network,
    _file_systems,
    _environment,
    _tags,
    _layers,
    _image,
)
