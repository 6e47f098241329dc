"""The function's log group, created in advance: one created by Lambda would keep, and bill, logs forever."""

from __future__ import annotations

from contextlib import suppress

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.session import Cloud
from lithops_magic.errors import AwsError

RETENTION_DAYS = 30


def prepare_log_group(cloud: Cloud, function: str) -> None:
    """Create the function's log group with a retention period, if permitted."""
    logs, name = cloud.client("logs"), f"/aws/lambda/{function}"
    # Without permission, Lambda creates the group, as usual.
    with suppress(AwsError), aws_errors():
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=name)
        logs.put_retention_policy(logGroupName=name, retentionInDays=RETENTION_DAYS)
