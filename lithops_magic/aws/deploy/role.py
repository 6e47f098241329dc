"""The function's execution role: the configured one, or the local AWS's default."""

from __future__ import annotations

from typing import Any

from lithops_magic.aws.session import Cloud
from lithops_magic.config import Settings
from lithops_magic.errors import ConfigError

LOCAL_ROLE = "lithops-magic-local"


def trust(account: str) -> dict[str, Any]:
    """Return the policy that lets AWS Lambda, and nothing else, assume the role for functions of this account."""
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
        No role is configured for the account.
    """
    if settings.execution_role is not None:
        return settings.execution_role
    if not cloud.is_local:
        create = "create one with `lithops-magic role create`, and put its ARN there"
        raise ConfigError(f"execution_role is not set, and AWS Lambda needs a role for the function: {create}.")
    return f"arn:aws:iam::{cloud.account_id}:role/{LOCAL_ROLE}"
