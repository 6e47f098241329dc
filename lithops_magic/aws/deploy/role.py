"""The function's execution role: the configured one, or on the local AWS one made for the purpose."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.session import Cloud
from lithops_magic.config import Settings
from lithops_magic.errors import ConfigError, DeployError

LOCAL_ROLE = "lithops-magic-local"


def trust(account: str) -> dict[str, Any]:
    """Return the policy that lets AWS Lambda take the role for functions of this account, and nobody else."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def role_arn(cloud: Cloud, settings: Settings) -> str:
    """Return the role's ARN without asking AWS.

    Raises
    ------
    ConfigError
        An account is used and no role is configured.
    """
    if settings.execution_role is not None:
        return settings.execution_role
    if not cloud.is_local:
        raise ConfigError("execution_role is not set: AWS Lambda needs a role for the function.")
    return f"arn:aws:iam::{cloud.account_id}:role/{LOCAL_ROLE}"


def execution_role(cloud: Cloud, settings: Settings) -> str:
    """Return the role's ARN; on the local AWS the role is created if none is configured.

    Raises
    ------
    ConfigError
        An account is used and no role is configured.
    DeployError
        The role cannot be created.
    """
    arn = role_arn(cloud, settings)
    if settings.execution_role is None:
        iam = cloud.client("iam")
        with aws_errors(DeployError), suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_role(RoleName=LOCAL_ROLE, AssumeRolePolicyDocument=json.dumps(trust(cloud.account_id)))
    return arn
