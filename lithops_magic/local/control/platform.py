"""What Lambda needs from other services: roles, networks, file systems and code in S3."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload
from urllib.parse import unquote
from xml.etree import ElementTree

from botocore.exceptions import ClientError

from lithops_magic.local.model import SandboxCredentials
from lithops_magic.local.names import LOCAL_ROLE, Account, invalid

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_efs import EFSClient
    from types_boto3_iam import IAMClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_s3 import S3Client
    from types_boto3_sts import STSClient


class OtherServices(Protocol):
    """The account's other services, within this process: without boto3, whose clients a first job would wait for."""

    @property
    def pristine(self) -> bool:
        """Whether the services are certainly still in their initial state."""
        ...

    def ask(self, service: str, fields: Mapping[str, str]) -> str | None:
        """Return the XML with which a service answers the fields of a query; None if it refuses."""
        ...

    def session(self, role: str, name: str) -> SandboxCredentials:
        """Return credentials of a session of a role."""
        ...


class Credentials(Protocol):
    """The key pair that the endpoint accepts."""

    @property
    def access_key_id(self) -> str: ...
    @property
    def secret_access_key(self) -> str: ...


class Platform:
    """The account's other services, at the same endpoint; every method runs in a worker thread."""

    def __init__(self, endpoint_url: str, credentials: Credentials, account: Account, others: OtherServices) -> None:
        self._endpoint_url = endpoint_url
        self._credentials = credentials
        self._account = account
        self._others = others
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self._sessions: dict[tuple[str, str], asyncio.Task[SandboxCredentials]] = {}
        self._lock = threading.Lock()

    async def check_role(self, arn: str) -> None:
        """Raise AWS's error unless the role exists and trusts Lambda."""
        if self._others.pristine and arn == self._account.role_arn(LOCAL_ROLE):
            return
        if not await asyncio.to_thread(self._is_assumable, arn):
            raise invalid("The role defined for the function cannot be assumed by Lambda.")

    async def vpc_of(self, subnets: list[str], groups: list[str]) -> str:
        """Return the id of the VPC that subnets and security groups share."""
        return await asyncio.to_thread(self._vpc_of, subnets, groups)

    async def check_access_point(self, arn: str, subnets: list[str]) -> None:
        """Raise AWS's error unless the EFS access point can be mounted from the subnets' availability zones."""
        await asyncio.to_thread(self._check_access_point, arn, subnets)

    async def assume(self, role: str, function: str) -> SandboxCredentials:
        """Return the role session a function runs under; the same one as long as this server runs."""
        session = self._sessions.get((role, function))
        if session is None:
            # The task instead of its result, so that sandboxes that start at the same time share one session.
            session = asyncio.create_task(asyncio.to_thread(self._others.session, role, function))
            self._sessions[role, function] = session
        # The others wait for it too, even if this caller is cancelled.
        return await asyncio.shield(session)

    async def read_object(self, bucket: str, key: str, version: str | None) -> bytes:
        """Code that was uploaded to S3."""
        return await asyncio.to_thread(self._read_object, bucket, key, version)

    def _is_assumable(self, arn: str) -> bool:
        answer = self._others.ask("iam", {"Action": "GetRole", "RoleName": arn.rpartition("/")[2]})
        if answer is None:
            return False
        role = {element.tag.rpartition("}")[2]: element.text or "" for element in ElementTree.fromstring(answer).iter()}
        # moto accepts trust policies that are not even JSON objects; AWS does not.
        policy: Any = None
        with contextlib.suppress(ValueError):
            policy = json.loads(unquote(role["AssumeRolePolicyDocument"]))
        statements = _listed(policy.get("Statement", [])) if isinstance(policy, dict) else []
        # GetRole looks at the name alone; the ARN also has the role's path and account.
        return role["Arn"] == arn and any(_trusts_lambda(item) for item in statements if isinstance(item, dict))

    def _vpc_of(self, subnets: list[str], groups: list[str]) -> str:
        ec2 = self.client("ec2")
        with _calling("DescribeSecurityGroups", "EC2"):
            found = ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]
        with _calling("DescribeSubnets", "EC2"):
            vpcs = {item["VpcId"] for item in ec2.describe_subnets(SubnetIds=subnets)["Subnets"]}
        if len(vpcs) > 1:
            raise invalid("Subnets are required to be in the same VPC.")
        if vpcs != {item["VpcId"] for item in found}:
            raise invalid("Security Groups are required to be in the same VPC.")
        return vpcs.pop()

    def _check_access_point(self, arn: str, subnets: list[str]) -> None:
        efs = self.client("efs")
        try:
            point = efs.describe_access_points(AccessPointId=arn.rpartition("/")[2])["AccessPoints"][0]
        except (ClientError, IndexError):
            raise invalid(f"Access point {arn} does not exist.") from None
        file_system = point["FileSystemId"]
        targets = efs.describe_mount_targets(FileSystemId=file_system)["MountTargets"]
        reachable = self._zones(target["SubnetId"] for target in targets)
        if not self._zones(subnets) <= reachable:
            root = arn.rpartition(":access-point/")[0]
            raise invalid(
                f"EFS file system {root}:file-system/{file_system} referenced by access point {arn} has no mount "
                "targets created in all availability zones the function will execute in. Please create EFS mount "
                "targets for each availability zone your function has a subnet in and try again."
            )

    def _zones(self, subnets: Iterable[str]) -> set[tuple[str, str]]:
        """VPC and availability zone of each subnet."""
        ids = list(subnets)
        found = self.client("ec2").describe_subnets(SubnetIds=ids)["Subnets"] if ids else []
        return {(item["VpcId"], item["AvailabilityZone"]) for item in found}

    def _read_object(self, bucket: str, key: str, version: str | None) -> bytes:
        chosen: Any = {"VersionId": version} if version else {}
        with _calling("GetObject", "S3"):
            return self.client("s3").get_object(Bucket=bucket, Key=key, **chosen)["Body"].read()

    @overload
    def client(self, service: Literal["iam"]) -> IAMClient: ...
    @overload
    def client(self, service: Literal["ec2"]) -> EC2Client: ...
    @overload
    def client(self, service: Literal["efs"]) -> EFSClient: ...
    @overload
    def client(self, service: Literal["logs"]) -> CloudWatchLogsClient: ...
    @overload
    def client(self, service: Literal["s3"]) -> S3Client: ...
    @overload
    def client(self, service: Literal["sts"]) -> STSClient: ...
    def client(self, service: str) -> Any:
        """Return the cached client of a service; all clients share one session, which reads the endpoint data once."""
        # Making clients is not thread-safe; using them is. The endpoint is on loopback, past any proxy.
        with self._lock:
            if service not in self._clients:
                import boto3
                from botocore.config import Config

                if self._session is None:
                    keys = self._credentials
                    self._session = boto3.Session(
                        keys.access_key_id, keys.secret_access_key, region_name=self._account.region
                    )
                config = Config(proxies={}, s3={"addressing_style": "path"})
                self._clients[service] = self._session.client(service, endpoint_url=self._endpoint_url, config=config)
            return self._clients[service]


@contextlib.contextmanager
def _calling(operation: str, service: str) -> Iterator[None]:
    """Turn another service's error into the one Lambda passes on."""
    try:
        yield
    except ClientError as error:
        code, text = error.response["Error"]["Code"], error.response["Error"]["Message"]
        # moto's messages show an unknown identifier as a Python set.
        text = text.replace("'{'", "'").replace("'}'", "'")
        named = f"{service} Error Code: {code}. {service} Error Message: {text}"
        raise invalid(f"Error occurred while {operation}. {named}") from None


def _trusts_lambda(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal", {})
    services = _listed(principal.get("Service", []) if isinstance(principal, dict) else principal)
    return statement.get("Effect") == "Allow" and any(name in ("*", "lambda.amazonaws.com") for name in services)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
