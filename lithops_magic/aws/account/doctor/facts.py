"""Data for the checks: AWS is asked each question once, and only if a check needs the answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lithops_magic.aws.account.permission_errors import Unanswered, asking
from lithops_magic.aws.deploy.role import LOCAL_ROLE
from lithops_magic.aws.iam.policy import Region
from lithops_magic.aws.session import Cloud
from lithops_magic.aws.storage.bucket import bucket_name
from lithops_magic.config import Settings

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import SecurityGroupTypeDef, SubnetTypeDef
    from types_boto3_iam.type_defs import RoleTypeDef
    from types_boto3_lambda.type_defs import GetAccountSettingsResponseTypeDef


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller's identity, and the time in AWS's reply."""

    arn: str
    account: str
    aws_time: datetime | None
    our_time: datetime


@dataclass(frozen=True, slots=True)
class MountTarget:
    """Network location of a file system in a VPC."""

    id: str
    vpc: str
    zone: str
    """Availability zone ID, such as ``use1-az1``."""


class Facts:
    """AWS's answers about one configuration.

    Every attribute may raise `Unanswered`.
    """

    def __init__(self, cloud: Cloud, settings: Settings) -> None:
        self.cloud = cloud
        self.settings = settings

    @cached_property
    def caller(self) -> Caller:
        """The caller's identity; requires no permission."""
        with asking("sts"):
            answer = self.cloud.client("sts").get_caller_identity()
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return Caller(
            answer["Arn"], answer["Account"], parsedate_to_datetime(date) if date else None, datetime.now().astimezone()
        )

    @property
    def account(self) -> str:
        """The account's number."""
        with asking("sts"):
            return self.cloud.account_id

    @property
    def place(self) -> Region:
        """Account and region."""
        return Region(self.account, self.cloud.region)

    @property
    def bucket(self) -> str:
        """The name of the bucket for large objects."""
        return bucket_name(self.account, self.cloud.region, self.settings.namespace)

    @property
    def role_arn(self) -> str | None:
        """The execution role's ARN; None if none is configured."""
        if self.settings.execution_role is not None:
            return self.settings.execution_role
        return f"arn:aws:iam::{self.account}:role/{LOCAL_ROLE}" if self.cloud.is_local else None

    @cached_property
    def role(self) -> RoleTypeDef | None:
        """The execution role; None if it does not exist."""
        arn = self.role_arn
        if arn is None:
            return None
        iam = self.cloud.client("iam")
        with asking("iam"):
            try:
                role = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
            except iam.exceptions.NoSuchEntityException:
                return None
        # GetRole looks at the name alone; the configured ARN also has an account and a path.
        return role if role["Arn"] == arn else None

    @cached_property
    def subnets(self) -> dict[str, SubnetTypeDef]:
        """The configured subnets that exist, by ID."""
        # A filter ignores missing subnets; passing them as IDs would make the whole call fail.
        wanted: Any = [{"Name": "subnet-id", "Values": list(self.settings.subnets)}]
        with asking("ec2"):
            found = self.cloud.client("ec2").describe_subnets(Filters=wanted)["Subnets"]
        return {subnet["SubnetId"]: subnet for subnet in found}

    @cached_property
    def groups(self) -> dict[str, SecurityGroupTypeDef]:
        """The configured security groups that exist, by ID."""
        return self.security_groups(list(self.settings.security_groups))

    def security_groups(self, ids: list[str]) -> dict[str, SecurityGroupTypeDef]:
        """Return the security groups that exist, out of `ids`."""
        wanted: Any = [{"Name": "group-id", "Values": ids}]
        with asking("ec2"):
            found = self.cloud.client("ec2").describe_security_groups(Filters=wanted)["SecurityGroups"]
        return {group["GroupId"]: group for group in found}

    @property
    def vpcs(self) -> set[str]:
        """The VPCs of the configured subnets."""
        return {subnet["VpcId"] for subnet in self.subnets.values()}

    @cached_property
    def file_system(self) -> str | None:
        """The ID of the file system behind the access point; None if there is no such access point."""
        entry = self.settings.efs[0].access_point
        if ":s3files:" in entry:
            return self._s3_files_system(entry)
        efs = self.cloud.client("efs")
        with asking("efs"):
            try:
                found = efs.describe_access_points(AccessPointId=entry.rpartition("/")[2])["AccessPoints"]
            except efs.exceptions.AccessPointNotFound:
                return None
        return found[0]["FileSystemId"] if found else None

    def _s3_files_system(self, arn: str) -> str | None:
        try:
            with asking("s3files"):
                point = self.s3files.get_access_point(accessPointId=arn.rpartition("/")[2])
        except Unanswered as unanswered:
            if unanswered.code == "ResourceNotFoundException":
                return None
            raise
        return str(point["fileSystemId"])

    @property
    def s3files(self) -> Any:
        """The S3 Files client, which boto3's type stubs do not include yet."""
        client: Any = self.cloud.client
        return client("s3files")

    @cached_property
    def mount_targets(self) -> list[MountTarget]:
        """Network locations of the configured file system; needs `file_system`."""
        system = self.file_system
        assert system is not None
        if ":s3files:" in self.settings.efs[0].access_point:
            with asking("s3files"):
                found = self.s3files.get_paginator("list_mount_targets").paginate(fileSystemId=system)
                return [
                    MountTarget(entry["mountTargetId"], entry.get("vpcId", ""), entry.get("availabilityZoneId", ""))
                    for page in found
                    for entry in page["mountTargets"]
                ]
        with asking("efs"):
            targets = self.cloud.client("efs").describe_mount_targets(FileSystemId=system)["MountTargets"]
        return [
            MountTarget(entry["MountTargetId"], entry.get("VpcId", ""), entry.get("AvailabilityZoneId", ""))
            for entry in targets
        ]

    def groups_of(self, target: MountTarget) -> list[str]:
        """Return the security groups of a mount target."""
        if ":s3files:" in self.settings.efs[0].access_point:
            with asking("s3files"):
                return list(self.s3files.get_mount_target(mountTargetId=target.id)["securityGroups"])
        with asking("efs"):
            answer = self.cloud.client("efs").describe_mount_target_security_groups(MountTargetId=target.id)
        return answer.get("SecurityGroups", [])

    @cached_property
    def account_settings(self) -> GetAccountSettingsResponseTypeDef:
        """Lambda's limits in this account and region."""
        with asking("lambda"):
            return self.cloud.client("lambda").get_account_settings()

    def policies_of_role(self, name: str) -> list[dict[str, Any]]:
        """Return the documents of a role's inline and attached policies."""
        iam = self.cloud.client("iam")
        documents: list[Any] = []
        with asking("iam"):
            for inline in iam.get_paginator("list_role_policies").paginate(RoleName=name):
                for policy in inline["PolicyNames"]:
                    documents.append(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
            for attached in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name):
                for entry in attached["AttachedPolicies"]:
                    version = iam.get_policy(PolicyArn=entry["PolicyArn"])["Policy"]["DefaultVersionId"]
                    answer = iam.get_policy_version(PolicyArn=entry["PolicyArn"], VersionId=version)
                    documents.append(answer["PolicyVersion"]["Document"])
        return documents
