"""CreateFunction, with patience for AWS's eventual consistency and for other notebooks doing the same."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lithops_magic.aws.explain import aws_errors, explain
from lithops_magic.aws.session import Cloud, Notify
from lithops_magic.errors import DeployError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from types_boto3_lambda import LambdaClient
    from types_boto3_lambda.type_defs import CreateFunctionRequestTypeDef

PROPAGATION = timedelta(seconds=90)
"""How long a new role may take to propagate; IAM documents no limit, and 60 seconds is usual."""

RETRY_PAUSE = 3.0
"""Seconds."""

NOT_YET = {
    "cannot be assumed by Lambda": "Let lambda.amazonaws.com assume the role (its trust policy).",
    "does not have permissions to call CreateNetworkInterface": (
        "Give the role the policy AWSLambdaVPCAccessExecutionRole."
    ),
    "KMS key is invalid for CreateGrant": "Look at the KMS key of the account's default encryption.",
}
"""AWS's messages about a role that is too new to be recognized, with the remedy if the role is older than that."""


def create(cloud: Cloud, request: CreateFunctionRequestTypeDef, notify: Notify) -> None:
    """Create the function, unless someone else did in the meantime.

    Raises
    ------
    DeployError
        AWS refuses it.
    """
    client = cloud.client("lambda")
    first_refusal: float | None = None
    while (refusal := _try(client, request)) is not None:
        error, remedy = refusal
        # Asked only once a refusal makes it matter: most functions are created at the first attempt.
        if first_refusal is None:
            first_refusal = time.monotonic()
            if not _is_new(cloud, request["Role"]):
                raise _refused(error, remedy)
            notify("Waiting for AWS Lambda to recognize the new role …")
        if time.monotonic() - first_refusal > PROPAGATION.total_seconds():
            raise _refused(error, remedy)
        time.sleep(RETRY_PAUSE)


def _try(client: LambdaClient, request: CreateFunctionRequestTypeDef) -> tuple[ClientError, str] | None:
    """Return the error and its remedy if the error may go away with time."""
    from botocore.exceptions import ClientError

    with aws_errors(DeployError):
        try:
            client.create_function(**request)
        # The name is a hash of the definition, so whoever created it in the meantime created the same function.
        except client.exceptions.ResourceConflictException:
            return None
        except ClientError as error:
            if (remedy := _remedy(error)) is None:
                raise
            return error, remedy
    return None


def _remedy(error: ClientError) -> str | None:
    message = error.response.get("Error", {}).get("Message", "")
    return next((remedy for text, remedy in NOT_YET.items() if text in message), None)


def _refused(error: ClientError, remedy: str) -> DeployError:
    return DeployError(f"{explain(error, DeployError)} {remedy}", code=error.response.get("Error", {}).get("Code", ""))


def _is_new(cloud: Cloud, role: str) -> bool:
    """Whether the role is so new that Lambda may not know it yet; if unknown, it counts as new.

    Raises
    ------
    DeployError
        The role does not exist.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    iam = cloud.client("iam")
    try:
        created = iam.get_role(RoleName=role.rpartition("/")[2])["Role"]["CreateDate"]
    except iam.exceptions.NoSuchEntityException:
        raise DeployError(f"There is no role {role}. Correct execution_role.", code="NoSuchEntity") from None
    except (BotoCoreError, ClientError):
        return True
    return datetime.now(UTC) - created < PROPAGATION
