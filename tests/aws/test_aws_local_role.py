"""A role that would do on the local AWS only is said to be one."""

from __future__ import annotations

import json
import os
from typing import Any

import lithops_magic
from lithops_magic.aws.account.local_role import denied_on_aws
from lithops_magic.aws.deploy.role import trust
from lithops_magic.aws.iam.policy import execution_policy
from lithops_magic.aws.session import Cloud
from lithops_magic.aws.storage.bucket import bucket_name
from lithops_magic.config import Settings


def role(aws: Any, policy: dict[str, Any] | None) -> str:
    iam, name = aws.client("iam"), f"local-role-{os.urandom(4).hex()}"
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust(aws.account_id)))["Role"]["Arn"]
    if policy:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    return str(made)


def test_a_job_says_what_aws_would_deny(local_aws: Any) -> None:
    result = lithops_magic.map(abs, [-1], settings=Settings(execution_role=role(local_aws, None)))
    assert list(result) == [1]
    (note,) = [note for note in result.snapshot().notes if "local AWS only" in note]
    assert "logs:CreateLogGroup" in note
    assert "lithops-magic policy execution" in note


def test_what_a_role_lacks_and_what_it_has(local_aws: Any) -> None:
    account, region = local_aws.account_id, local_aws.region
    policy = execution_policy(Settings(), account, region, bucket_name(account, region, None))

    def said(document: dict[str, Any]) -> str | None:
        settings = Settings(execution_role=role(local_aws, document))
        return denied_on_aws(Cloud.connect(settings), settings)

    assert said(policy) is None
    without_logs = [statement for statement in policy["Statement"] if statement["Sid"] != "Logs"]
    note = said({**policy, "Statement": without_logs}) or ""
    assert "logs:PutLogEvents" in note
    assert "s3:PutObject" not in note
    denying = {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*"}
    assert "s3:PutObject" in (said({**policy, "Statement": [*policy["Statement"], denying]}) or "")


def test_the_role_that_the_local_aws_brings_needs_nothing(local_aws: Any) -> None:
    assert denied_on_aws(Cloud.connect(Settings()), Settings()) is None
