"""Shared by tests of account preparation: a network, and a local AWS that enforces IAM permissions."""

from __future__ import annotations

import itertools
import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lithops_magic.aws.session import Cloud
from lithops_magic.config import FileSystem, Settings

numbers = itertools.count(1)


def cloud_of(aws: Any, session: boto3.Session | None = None, region: str = "us-east-1") -> Cloud:
    """A `Cloud` that takes the local AWS for an account."""
    session = session or boto3.Session(aws.access_key_id, aws.secret_access_key, region_name=region)
    return Cloud(session, region=region, endpoint_url=aws.endpoint_url)


def answer_instead(client: Any, operation: str, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Let `answer` reply to one operation of a client; every other one still goes to the server."""
    parameters: list[dict[str, Any]] = []
    service = client.meta.service_model.service_name

    class Received:
        status_code = 200

    def reply(**_: Any) -> tuple[Any, dict[str, Any]]:
        parsed = answer(parameters[-1])
        received = Received()
        received.status_code = 400 if "Error" in parsed else 200
        return received, {"ResponseMetadata": {"HTTPHeaders": {}}, **parsed}

    client.meta.events.register(
        f"provide-client-params.{service}.{operation}", lambda params, **_: parameters.append(params)
    )
    client.meta.events.register(f"before-call.{service}.{operation}", reply)


def refuse(client: Any, operation: str, code: str) -> None:
    """Let one operation fail with an error code."""
    answer_instead(client, operation, lambda _: {"Error": {"Code": code, "Message": "no"}})


@dataclass
class Network:
    """A VPC with two subnets, a security group and a file system, each made by plain boto3."""

    vpc: str
    subnets: tuple[str, str]
    group: str
    target_group: str
    file_system: str
    access_point: str
    table: str

    def settings(self, **changes: Any) -> Settings:
        """Settings that use all of it."""
        return Settings(
            execution_role="arn:aws:iam::123456789012:role/none",
            subnets=self.subnets,
            security_groups=(self.group,),
            efs=(FileSystem(self.access_point, "/mnt/data"),),
        ).replace(**changes)


class EnforcingAws:
    """A local AWS whose IAM is enforced, for one user whose permissions a test chooses."""

    def __init__(self, aws: Any) -> None:
        self.aws = aws
        iam = aws.client("iam")
        iam.create_user(UserName="ada")
        key = iam.create_access_key(UserName="ada")["AccessKey"]
        self._user = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=aws.region)

    def user(self, *actions: str) -> Cloud:
        """Connect as the user, who may do these actions and nothing else."""
        self.enforce(False)
        iam = self.aws.client("iam")
        statement = {"Effect": "Allow", "Action": list(actions) or ["none:None"], "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName="ada", PolicyName="test", PolicyDocument=document)
        self.enforce(True)
        return cloud_of(self.aws, self._user)

    def enforce(self, enforced: bool) -> None:
        count = b"0" if enforced else b"inf"
        url = f"{self.aws.endpoint_url}/moto-api/reset-auth"
        request = AWSRequest("POST", url, data=count, headers={"Content-Type": "text/plain"})
        SigV4Auth(Credentials(self.aws.access_key_id, self.aws.secret_access_key), "iam", "us-east-1").add_auth(request)
        prepared = request.prepare()
        sent = urllib.request.Request(url, data=count, headers=dict(prepared.headers.items()), method="POST")
        with urllib.request.urlopen(sent, timeout=60) as reply:
            assert reply.status == 200
