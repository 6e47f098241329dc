"""The roles, networks and file systems to choose from in an account; each list can be denied separately."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from lithops_magic.aws.account.permission_errors import Denied, Unanswered, asking
from lithops_magic.aws.iam.read_policy import trusts_lambda
from lithops_magic.aws.session import Cloud

if TYPE_CHECKING:
    from botocore.config import Config
    from types_boto3_ec2.type_defs import TagTypeDef

MAX_LIST = 1000
"""Maximum entries: a longer list is useless in a form."""
CONNECT_TIMEOUT = 4
READ_TIMEOUT = 10
"""Seconds; short, because a user is waiting for the form."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Role:
    """A role that Lambda can assume."""

    arn: str
    name: str


@dataclass(frozen=True, slots=True)
class Vpc:
    """A network."""

    id: str
    name: str
    """Its Name tag; may be empty."""
    cidr: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class Subnet:
    """A part of a VPC in one availability zone."""

    id: str
    name: str
    """Its Name tag; may be empty."""
    vpc: str
    zone: str
    cidr: str


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A firewall of a VPC."""

    id: str
    name: str
    vpc: str


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """An entry point to a file system in EFS or S3 Files."""

    arn: str
    name: str
    """Its own name or its bucket's; may be empty."""
    file_system: str
    vpc: str
    """ID of the VPC in which its file system can be reached; empty if there is none yet."""


class Discovery:
    """Lists the resources in the account and region of a `Cloud`.

    Every method returns a tuple, or `Denied` if AWS did not provide the list.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def roles(self) -> tuple[Role, ...] | Denied:
        """Return the roles that Lambda can assume, by name."""
        return _answer("iam", self._roles)

    def vpcs(self) -> tuple[Vpc, ...] | Denied:
        """Return the region's VPCs, the default one first."""
        return _answer("ec2", self._vpcs)

    def subnets(self, vpc: str) -> tuple[Subnet, ...] | Denied:
        """Return the subnets of a VPC by zone."""
        return _answer("ec2", lambda: self._subnets(vpc))

    def security_groups(self, vpc: str) -> tuple[SecurityGroup, ...] | Denied:
        """Return the security groups of a VPC by name."""
        return _answer("ec2", lambda: self._security_groups(vpc))

    def efs_access_points(self) -> tuple[AccessPoint, ...] | Denied:
        """Return the access points of EFS."""
        return _answer("efs", self._efs_access_points)

    def s3_files_access_points(self) -> tuple[AccessPoint, ...] | Denied:
        """Return the access points of S3 Files."""
        return _answer("s3files", self._s3_files_access_points)

    @cached_property
    def _client_config(self) -> Config:
        from botocore.config import Config

        return Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": 2},
        )

    @cached_property
    def _ec2(self) -> Any:
        return self._cloud.client("ec2", self._client_config)

    def _roles(self) -> Iterable[Role]:
        pages = self._cloud.client("iam", self._client_config).get_paginator("list_roles").paginate()
        trusted = (
            Role(role["Arn"], role["RoleName"])
            for page in pages
            for role in page["Roles"]
            if trusts_lambda(role.get("AssumeRolePolicyDocument"))
        )
        return sorted(islice(trusted, MAX_LIST), key=lambda role: role.name)

    def _vpcs(self) -> Iterable[Vpc]:
        found = _entries(self._ec2, "describe_vpcs", "Vpcs")
        vpcs = [Vpc(v["VpcId"], _name(v.get("Tags", [])), v.get("CidrBlock", ""), v["IsDefault"]) for v in found]
        return sorted(vpcs, key=lambda vpc: (not vpc.is_default, vpc.name, vpc.id))

    def _subnets(self, vpc: str) -> Iterable[Subnet]:
        found = _entries(self._ec2, "describe_subnets", "Subnets", Filters=[{"Name": "vpc-id", "Values": [vpc]}])
        subnets = [
            Subnet(s["SubnetId"], _name(s.get("Tags", [])), s["VpcId"], s["AvailabilityZone"], s.get("CidrBlock", ""))
            for s in found
        ]
        return sorted(subnets, key=lambda subnet: (subnet.zone, subnet.name, subnet.id))

    def _security_groups(self, vpc: str) -> Iterable[SecurityGroup]:
        wanted = [{"Name": "vpc-id", "Values": [vpc]}]
        found = _entries(self._ec2, "describe_security_groups", "SecurityGroups", Filters=wanted)
        groups = [SecurityGroup(group["GroupId"], group["GroupName"], vpc) for group in found]
        return sorted(groups, key=lambda group: (group.name, group.id))

    def _efs_access_points(self) -> Iterable[AccessPoint]:
        efs = self._cloud.client("efs", self._client_config)
        networks: dict[str, str] = {}
        for point in _entries(efs, "describe_access_points", "AccessPoints"):
            system = point["FileSystemId"]
            # Access points often share a file system, whose mount targets take a call.
            if system not in networks:
                targets = efs.describe_mount_targets(FileSystemId=system)["MountTargets"]
                networks[system] = targets[0].get("VpcId", "") if targets else ""
            yield AccessPoint(point["AccessPointArn"], point.get("Name", ""), system, networks[system])

    def _s3_files_access_points(self) -> Iterable[AccessPoint]:
        # boto3's type stubs do not include this service yet.
        client: Any = self._cloud.client
        files = client("s3files", self._client_config)
        for system in _entries(files, "list_file_systems", "fileSystems"):
            identity = system["fileSystemId"]
            targets = list(_entries(files, "list_mount_targets", "mountTargets", fileSystemId=identity))
            vpc = targets[0].get("vpcId", "") if targets else ""
            for point in _entries(files, "list_access_points", "accessPoints", fileSystemId=identity):
                yield AccessPoint(point["accessPointArn"], point.get("name") or system["bucket"], identity, vpc)


def _answer(service: str, question: Callable[[], Iterable[T]]) -> tuple[T, ...] | Denied:
    try:
        with asking(service):
            # The lists are lazy: their calls are made here, inside the `with`.
            return tuple(islice(question(), MAX_LIST))
    except Unanswered as unanswered:
        return unanswered.denied


def _entries(client: Any, operation: str, key: str, **parameters: Any) -> Iterable[Any]:
    pages = client.get_paginator(operation).paginate(**parameters)
    # Lazily: pages beyond the limit are not even requested.
    return islice((entry for page in pages for entry in page[key]), MAX_LIST)


def _name(tags: Iterable[TagTypeDef]) -> str:
    return next((tag["Value"] for tag in tags if tag.get("Key") == "Name" and "Value" in tag), "")
