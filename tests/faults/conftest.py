"""The local AWS behind a fault proxy, and a file that all sandboxes share, in which tasks count their runs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fault_job import MOUNT, Counted
from fault_proxy import FaultProxy, proxying
from lithops_magic.aws.deploy.role import trust
from lithops_magic.config import FileSystem, Settings

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
    session_proxy.up()


@pytest.fixture(scope="session")
def account(local_aws: Any, session_proxy: FaultProxy) -> Settings:
    """The local AWS as an account that is reached through the proxy, with a file system shared by all sandboxes."""
    iam, ec2, efs = (local_aws.client(service) for service in ("iam", "ec2", "efs"))
    role = iam.create_role(RoleName="faults", AssumeRolePolicyDocument=json.dumps(trust("123456789012")))["Role"]["Arn"]
    subnet = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0]
    vpc = {"Name": "vpc-id", "Values": [subnet["VpcId"]]}
    group = ec2.describe_security_groups(Filters=[vpc])["SecurityGroups"][0]["GroupId"]
    system = efs.create_file_system(CreationToken="faults")["FileSystemId"]
    efs.create_mount_target(FileSystemId=system, SubnetId=subnet["SubnetId"])
    point = efs.create_access_point(ClientToken="faults", FileSystemId=system)["AccessPointArn"]
    return Settings(
        local=False,
        endpoint_url=session_proxy.url,
        region=local_aws.region,
        account_id=local_aws.account_id,
        access_key_id=local_aws.access_key_id,
        secret_access_key=local_aws.secret_access_key,
        execution_role=role,
        subnets=(subnet["SubnetId"],),
        security_groups=(group,),
        efs=(FileSystem(point, MOUNT),),
        namespace="faults",
        memory=256,
        timeout=3,
    )


@pytest.fixture
def counted(account: Settings, proxy: FaultProxy) -> Callable[[], Counted]:
    """Make jobs that count how often each task runs."""
    return lambda: Counted(account, f"runs-{next(_numbers)}")
