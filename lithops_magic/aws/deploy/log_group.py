"""The function's log group, made with the function: Lambda would make one whose logs stay, and cost, for ever."""

from __future__ import annotations

from contextlib import suppress

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.session import Cloud
from lithops_magic.errors import AwsError

RETENTION_DAYS = 30


def prepare_log_group(cloud: Cloud, function: str) -> None:
    """Create the function's log group with an end to its logs, if that is permitted."""
    logs, name = cloud.client("logs"), f"/aws/lambda/{function}"
    # Without permission Lambda makes the group, as it always did.
    with suppress(AwsError), aws_errors():
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=name)
        logs.put_retention_policy(logGroupName=name, retentionInDays=RETENTION_DAYS)
