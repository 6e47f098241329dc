"""Packages too large for layers: archives in S3 that each sandbox unpacks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lithops_magic.aws.deploy.layer import BuiltLayer, put_layer
from lithops_magic.aws.session import Cloud, Notify, silent
from lithops_magic.aws.storage.bucket import EXPIRY_DAYS, JOB_PREFIX, bucket_name, ensure_bucket
from lithops_magic.config import Settings

VARIABLE = "LITHOPS_MAGIC_ARCHIVES"
"""Lists the archives for the worker; part of the function's definition, so any change creates another function."""

FRESH = timedelta(days=EXPIRY_DAYS / 2)
"""Age at which an archive is stored again, so that it does not expire while a notebook uses it."""


def store_archives(
    cloud: Cloud, settings: Settings, archives: Sequence[BuiltLayer], notify: Notify = silent
) -> dict[str, str]:
    """Return the environment variable that lists these archives for the worker; stores those not in S3 yet.

    Raises
    ------
    AwsError
        The bucket cannot be used.
    """
    if not archives:
        return {}
    bucket = ensure_bucket(cloud, settings, notify)
    for archive in missing_archives(cloud, settings, archives):
        notify(f"Uploading the packages ({archive.size / 2**20:,.1f} MB)")
        put_layer(cloud, bucket, _key(archive), archive)
    return archives_variable(cloud, settings, archives)


def archives_variable(cloud: Cloud, settings: Settings, archives: Sequence[BuiltLayer]) -> dict[str, str]:
    """Return the environment variable that lists these archives for the worker, whether or not they are in S3 yet."""
    if not archives:
        return {}
    place = {"bucket": _bucket(cloud, settings), "owner": cloud.account_id}
    entries = [{**place, "key": _key(archive), "sha256": archive.digest} for archive in archives]
    return {VARIABLE: json.dumps(entries, separators=(",", ":"))}


def missing_archives(cloud: Cloud, settings: Settings, archives: Sequence[BuiltLayer]) -> list[BuiltLayer]:
    """Return the archives that must still be stored: they are missing, or too old to rely on."""
    return [one for one in archives if not _is_fresh(cloud, _bucket(cloud, settings), _key(one))]


def _bucket(cloud: Cloud, settings: Settings) -> str:
    return bucket_name(cloud.account_id, cloud.region, settings.namespace)


def _key(archive: BuiltLayer) -> str:
    return f"{JOB_PREFIX}packages/{archive.digest}.zip"


def _is_fresh(cloud: Cloud, bucket: str, key: str) -> bool:
    from botocore.exceptions import ClientError

    owned: Any = {"Bucket": bucket, "ExpectedBucketOwner": cloud.account_id}
    try:
        stored = cloud.client("s3").head_object(**owned, Key=key)["LastModified"]
    # Missing, or not readable for this user: storing it again costs only time.
    except ClientError:
        return False
    return datetime.now(UTC) - stored < FRESH
