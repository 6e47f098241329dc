"""The bucket for data too large for an invocation: its name, and its creation on first use."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.session import Cloud, Notify, silent
from lithops_magic.aws.storage.names import JOB_PREFIX, PREFIX, RESULTS, bucket_name
from lithops_magic.config import Settings
from lithops_magic.config.limits import KEPT_DAYS
from lithops_magic.errors import AwsError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import LifecycleRuleTypeDef

EXPIRY_DAYS = KEPT_DAYS
"""Days after which S3 deletes a job's objects."""

CACHE = f"{PREFIX}-cache/"
"""Prefix of values kept for other jobs: outside the prefix of job data, or they would expire with it."""

LIFETIMES = (7, 30, 90, 365)
"""Days after which S3 deletes cached values, by the second part of their keys."""

__all__ = [
    "CACHE",
    "EXPIRY_DAYS",
    "JOB_PREFIX",
    "LIFETIMES",
    "RESULTS",
    "Owned",
    "bucket_name",
    "cache_prefix",
    "ensure_bucket",
    "ensure_cache",
    "partition",
]


def cache_prefix(days: int) -> str:
    """Return the key prefix of cached values that S3 deletes after that many days, one of `LIFETIMES`."""
    return f"{CACHE}{days}/"


def _rule(name: str, prefix: str, days: int) -> LifecycleRuleTypeDef:
    return {
        "ID": name,
        "Filter": {"Prefix": prefix},
        "Status": "Enabled",
        "Expiration": {"Days": days},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }


_RULE = _rule(PREFIX, JOB_PREFIX, EXPIRY_DAYS)
_CACHE_RULES = [_rule(f"{PREFIX}-cache-{days}", cache_prefix(days), days) for days in LIFETIMES]


class Owned(TypedDict):
    """Identifies the bucket in every call, which fails if another account owns it."""

    Bucket: str
    ExpectedBucketOwner: str


@cache
def partition(region: str) -> str:
    """Return the AWS partition of a region, such as ``aws-cn``; the first call takes 0.1 s to load botocore's list."""
    from botocore.session import Session

    return Session().get_partition_for_region(region)


def ensure_bucket(cloud: Cloud, settings: Settings, notify: Notify = silent, *, account: str | None = None) -> str:
    """Return the bucket's name; creates the bucket if necessary, and completes an interrupted setup.

    Parameters
    ----------
    account
        The owner, if known without asking AWS.

    Raises
    ------
    AwsError
        The bucket belongs to another account, or a call is not permitted.
    """
    owner = account or cloud.account_id
    name = bucket_name(owner, cloud.region, settings.namespace)
    owned: Owned = {"Bucket": name, "ExpectedBucketOwner": owner}
    s3 = cloud.client("s3")
    with aws_errors():
        lifecycle = _lifecycle(s3, owned)
        if lifecycle is None:
            notify(f"Creating the bucket {name} …")
            _create(s3, cloud, owned)
            lifecycle = {"Rules": []}
        if not any(rule.get("ID") == PREFIX for rule in lifecycle["Rules"]):
            _protect(s3, owned, cloud)
            # Last, so that its presence means that the setup is complete.
            _expire(s3, owned, lifecycle, [_RULE])
    return name


def ensure_cache(cloud: Cloud, settings: Settings) -> None:
    """Set up expiration of cached values.

    Raises
    ------
    AwsError
        A call is not permitted.
    """
    owned: Owned = {"Bucket": ensure_bucket(cloud, settings), "ExpectedBucketOwner": cloud.account_id}
    s3 = cloud.client("s3")
    with aws_errors():
        lifecycle = _lifecycle(s3, owned) or {"Rules": []}
        present = {rule.get("ID") for rule in lifecycle["Rules"]}
        # Rules that may not be read count as present: an administrator made them.
        if missing := [rule for rule in _CACHE_RULES if rule.get("ID") not in present]:
            _expire(s3, owned, lifecycle, missing)


def _lifecycle(s3: S3Client, owned: Owned) -> dict[str, Any] | None:
    """Return the lifecycle configuration; None if there is no bucket."""
    from botocore.exceptions import ClientError

    try:
        answer: dict[str, Any] = {**s3.get_bucket_lifecycle_configuration(**owned)}
        # Writing the rules without the second key would reset it.
        return {key: answer[key] for key in ("Rules", "TransitionDefaultMinimumObjectSize") if key in answer}
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "NoSuchBucket":
            return None
        if code == "NoSuchLifecycleConfiguration":
            return {"Rules": []}
        if code == "AccessDenied":
            return _rules_of_administrator(s3, owned)
        raise


def _rules_of_administrator(s3: S3Client, owned: Owned) -> dict[str, Any] | None:
    """Accept a bucket of this account whose settings the caller may not read: an administrator manages it."""
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(**owned)
    except ClientError as error:
        if error.response["Error"]["Code"] == "404":
            return None
        raise _not_ours(owned, error) from None
    return {"Rules": [_RULE, *_CACHE_RULES]}


def _create(s3: S3Client, cloud: Cloud, owned: Owned) -> None:
    from botocore.exceptions import ClientError

    # S3 requires a location constraint for every region but its first one.
    place: Any = {} if cloud.region == "us-east-1" else {"LocationConstraint": cloud.region}
    extra: Any = {"CreateBucketConfiguration": place} if place else {}
    try:
        # Without ACLs, whatever is written there belongs to this account.
        s3.create_bucket(Bucket=owned["Bucket"], ObjectOwnership="BucketOwnerEnforced", **extra)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "BucketAlreadyExists":
            raise _not_ours(owned, error) from None
        # Another notebook is creating it right now.
        if code not in ("BucketAlreadyOwnedByYou", "OperationAborted"):
            raise
    # Also when another notebook creates it: its settings can be written only once it exists.
    s3.get_waiter("bucket_exists").wait(**owned)


def _protect(s3: S3Client, owned: Owned, cloud: Cloud) -> None:
    """Block public access and plain HTTP, and set encryption, with parallel calls."""
    with ThreadPoolExecutor(3, "lambda-bucket") as pool:
        calls = [pool.submit(_block_public_access, s3, owned), pool.submit(_encrypt, s3, owned)]
        # Through an endpoint with plain HTTP, this policy would lock us out.
        if (cloud.endpoint_url or "https:").startswith("https:"):
            calls.append(pool.submit(_refuse_plain_http, s3, owned, cloud.region))
    for call in calls:
        call.result()


def _block_public_access(s3: S3Client, owned: Owned) -> None:
    everything: Any = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    s3.put_public_access_block(**owned, PublicAccessBlockConfiguration=everything)


def _encrypt(s3: S3Client, owned: Owned) -> None:
    rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(**owned, ServerSideEncryptionConfiguration={"Rules": [rule]})


def _refuse_plain_http(s3: S3Client, owned: Owned, region: str) -> None:
    """Make S3 refuse requests without TLS, unless the bucket already has a policy."""
    if _has_policy(s3, owned):
        return
    bucket = f"arn:{partition(region)}:s3:::{owned['Bucket']}"
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket, f"{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(**owned, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def _has_policy(s3: S3Client, owned: Owned) -> bool:
    from botocore.exceptions import ClientError

    try:
        s3.get_bucket_policy(**owned)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucketPolicy":
            return False
        raise
    return True


def _expire(s3: S3Client, owned: Owned, lifecycle: dict[str, Any], rules: list[LifecycleRuleTypeDef]) -> None:
    kept: Any = {key: value for key, value in lifecycle.items() if key != "Rules"}
    s3.put_bucket_lifecycle_configuration(
        **owned, LifecycleConfiguration={"Rules": [*lifecycle["Rules"], *rules]}, **kept
    )


def _not_ours(owned: Owned, error: ClientError) -> AwsError:
    return AwsError(
        f"The bucket {owned['Bucket']} exists, but it is not this account's or you may not use it. "
        "Ask whoever manages the account for access to it, or set another namespace.",
        code=error.response["Error"]["Code"],
    )
