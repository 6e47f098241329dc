"""The local AWS behind a fault proxy, and a file that all sandboxes share, in which tasks count their runs."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import lithops_magic
from fault_proxy import FaultProxy, proxying
from lithops_magic.aws.role import TRUST
from lithops_magic.config import FileSystem, Settings
from lithops_magic.engine import MapResult

MOUNT = "/mnt/tally"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def session_proxy(local_aws: Any) -> Iterator[FaultProxy]:
    with proxying(("127.0.0.1", local_aws.port)) as proxy:
        yield proxy


@pytest.fixture
def proxy(session_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """The proxy between the client and AWS, without any rule yet."""
    session_proxy.reset()
    yield session_proxy
    session_proxy.reset()


@pytest.fixture(scope="session")
def account(local_aws: Any, session_proxy: FaultProxy) -> Settings:
    """The local AWS as an account that is reached through the proxy, with a file system shared by all sandboxes."""
    iam, ec2, efs = (local_aws.client(service) for service in ("iam", "ec2", "efs"))
    role = iam.create_role(RoleName="faults", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="faults", Description="faults", VpcId=vpc)["GroupId"]
    system = efs.create_file_system(CreationToken="faults")["FileSystemId"]
    efs.create_mount_target(FileSystemId=system, SubnetId=subnet)
    point = efs.create_access_point(ClientToken="faults", FileSystemId=system)["AccessPointArn"]
    return Settings(
        local=False,
        endpoint_url=session_proxy.url,
        region=local_aws.region,
        account_id=local_aws.account_id,
        access_key_id=local_aws.access_key_id,
        secret_access_key=local_aws.secret_access_key,
        execution_role=role,
        subnets=(subnet,),
        security_groups=(group,),
        efs=(FileSystem(point, MOUNT),),
        namespace="faults",
        memory=256,
        timeout=3,
    )


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether `condition` comes true within a generous time."""
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@dataclass
class Counted:
    """A job whose tasks square their item and write down that they ran."""

    account: Settings
    name: str

    def run(self, items: Iterable[int], **options: Any) -> MapResult:
        """Run the job to its end."""
        result = self.start(items, **options)
        assert result.wait(120)
        return result

    def start(self, items: Iterable[int], **options: Any) -> MapResult:
        """Begin the job."""
        name = self.name

        def square(item: int) -> int:
            folder = os.environ.get("LAMBDA_MOUNT_TALLY", MOUNT)
            # So short a write at the end of a file is one step, whoever else writes.
            with open(f"{folder}/{name}", "ab", buffering=0) as tally:  # noqa: PTH123
                tally.write(b"%d\n" % item)
            return item * item

        return lithops_magic.map(square, items, settings=self.account, background=True, **options)

    def executions(self) -> Counter[int]:
        """How often each item was run."""
        name = self.name

        def read(_: int) -> bytes:
            folder = os.environ.get("LAMBDA_MOUNT_TALLY", MOUNT)
            with open(f"{folder}/{name}", "rb") as tally:  # noqa: PTH123
                return tally.read()

        (data,) = lithops_magic.map(read, [0], settings=self.account)
        return Counter(int(line) for line in data.split())


@pytest.fixture
def counted(account: Settings, proxy: FaultProxy) -> Callable[[], Counted]:
    """Make jobs that count how often each task runs."""
    return lambda: Counted(account, f"runs-{next(_numbers)}")
