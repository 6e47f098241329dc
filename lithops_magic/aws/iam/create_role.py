"""The execution role: created with exactly the permissions that a configuration needs, and kept up to date."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lithops_magic.aws.definition import OWNER_TAG, owner
from lithops_magic.aws.deploy.role import trust
from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.iam.policy import Document, Region, data_policy, execution_policy, nested_policy, role_name
from lithops_magic.aws.session import Cloud, Notify, silent
from lithops_magic.aws.storage.bucket import bucket_name
from lithops_magic.config import Settings
from lithops_magic.errors import AwsError

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient
    from types_boto3_iam.type_defs import RoleTypeDef

DESCRIPTION = "Execution role of the functions of lithops-magic"


def create_role(
    cloud: Cloud,
    settings: Settings,
    name: str | None = None,
    notify: Notify = silent,
    *,
    readable: Sequence[str] = (),
    writable: Sequence[str] = (),
    nested: bool = False,
) -> str:
    """Create the execution role, or update ours, and return its ARN.

    The permissions are an inline policy per region, because a role serves all regions of an account.

    Parameters
    ----------
    name
        By default, ``lithops-magic-execution``, plus the namespace if there is one.
    notify
        Told about each step.
    readable, writable
        The user's own buckets that tasks may read, or read and write; buckets added earlier remain.
    nested
        Whether tasks may start jobs; once granted, this remains.

    Raises
    ------
    AwsError
        A call is not permitted, or someone else's role has this name.
    """
    name = name or role_name(settings)
    iam, document = cloud.client("iam"), trust(cloud.account_id)
    with aws_errors():
        role = _find(iam, name)
        if role is None:
            notify(f"Creating the role {name} …")
            role = _create(iam, settings, name, document)
            notify("AWS Lambda may need up to a minute to recognize a new role; the first run waits for that.")
        _check_owner(role, settings)
        _update_trust(iam, role, document, notify)
        _update_permissions(iam, name, settings, cloud, notify)
        for bucket in dict.fromkeys([*readable, *writable]):
            _allow_bucket(
                iam, name, bucket, Region(cloud.account_id, cloud.region), notify, writable=bucket in writable
            )
        if nested:
            _allow_nested(iam, name, nested_policy(Region(cloud.account_id, cloud.region), settings), notify)
    return role["Arn"]


def _allow_nested(iam: IAMClient, name: str, wanted: Document, notify: Notify) -> None:
    if _permissions(iam, name, f"{name}-nested") != wanted:
        notify("Letting tasks start jobs …")
        iam.put_role_policy(RoleName=name, PolicyName=f"{name}-nested", PolicyDocument=json.dumps(wanted))


def _allow_bucket(iam: IAMClient, name: str, bucket: str, place: Region, notify: Notify, *, writable: bool) -> None:
    """Let the role read a bucket, and write to it if requested now or earlier, in a separate policy for that bucket."""
    # IAM allows 128 characters; the end, with the bucket's name, is what tells policies apart.
    policy = f"{name}-data-{bucket}"[-128:]
    before = _permissions(iam, name, policy)
    writable = writable or "s3:PutObject" in json.dumps(before)
    wanted = data_policy(place, [bucket], [bucket] if writable else [])
    if before != wanted:
        notify(f"Letting tasks read {'and write ' if writable else ''}s3://{bucket} …")
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(wanted))


def _find(iam: IAMClient, name: str) -> RoleTypeDef | None:
    try:
        return iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return None


def _create(iam: IAMClient, settings: Settings, name: str, document: Document) -> RoleTypeDef:
    tags = {**settings.user_tags, OWNER_TAG: owner(settings)}
    # If the role was created in the meantime, treat it like an existing one.
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(
            RoleName=name,
            Description=DESCRIPTION,
            AssumeRolePolicyDocument=json.dumps(document),
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
    # IAM is eventually consistent: reading a role right after its creation may fail.
    iam.get_waiter("role_exists").wait(RoleName=name)
    return iam.get_role(RoleName=name)["Role"]


def _check_owner(role: RoleTypeDef, settings: Settings) -> None:
    tags = {tag["Key"]: tag["Value"] for tag in role.get("Tags", [])}
    if tags.get(OWNER_TAG) != owner(settings):
        raise AwsError(
            f"There is a role {role['RoleName']} that was not created by lithops-magic for this namespace: it is left "
            f"as it is. Choose another --name, or set execution_role to {role['Arn']} if that is the role to use.",
            code="EntityAlreadyExists",
        )


def _update_trust(iam: IAMClient, role: RoleTypeDef, document: Document, notify: Notify) -> None:
    # Every time, because someone may have widened it since.
    if role.get("AssumeRolePolicyDocument") != document:
        notify("Letting AWS Lambda, and nobody else, assume the role …")
        iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(document))


def _update_permissions(iam: IAMClient, name: str, settings: Settings, cloud: Cloud, notify: Notify) -> None:
    bucket = bucket_name(cloud.account_id, cloud.region, settings.namespace)
    wanted = execution_policy(settings, cloud.account_id, cloud.region, bucket)
    policy = f"{name}-{cloud.region}"
    if _permissions(iam, name, policy) != wanted:
        notify(f"Writing the role's permissions for {cloud.region} …")
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(wanted))


def _permissions(iam: IAMClient, name: str, policy: str) -> Document | None:
    try:
        document: Any = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    except iam.exceptions.NoSuchEntityException:
        return None
    return dict(document)
