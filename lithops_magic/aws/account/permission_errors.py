"""Calls to AWS that may each be denied or fail without ending the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten

from lithops_magic.aws.explain import explain
from lithops_magic.errors import LithopsMagicError

DENIALS = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden", "403"}
)
"""Codes with which AWS's services say that the caller lacks a permission."""

_PREFIXES = {"efs": "elasticfilesystem"}
"""Services whose permissions are not named like their client."""

_ACTIONS = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "lambda:Invoke": "lambda:InvokeFunction",
}
"""Calls whose permission has another name (AWS's service authorization reference)."""

LONGEST_REASON = 300
"""Characters; it stands beside a field of a form."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Why AWS did not tell something."""

    permission: str
    """The permission that is missing, such as ``ec2:DescribeSubnets``; empty when something else went wrong."""
    reason: str
    """One sentence for people."""


class Unanswered(Exception):
    """AWS did not answer a question."""

    def __init__(self, denied: Denied, code: str) -> None:
        super().__init__(denied.reason)
        self.denied = denied
        self.code = code


def permission(service: str, operation: str) -> str:
    """Return the name of the permission that an operation of a boto3 client needs."""
    name = f"{_PREFIXES.get(service, service)}:{operation}"
    return _ACTIONS.get(name, name)


@contextmanager
def asking(service: str) -> Iterator[None]:
    """Turn every failure of a call to `service` into `Unanswered`.

    Raises
    ------
    Unanswered
        The call is not permitted, or it failed.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in DENIALS:
            needed = permission(service, error.operation_name)
            raise Unanswered(Denied(needed, f"It needs the permission {needed}."), code) from None
        raise Unanswered(_failed(explain(error)), code) from None
    except (BotoCoreError, ResponseParserError) as error:
        raise Unanswered(_failed(explain(error)), type(error).__name__) from None
    except LithopsMagicError as error:
        raise Unanswered(_failed(error), getattr(error, "code", "")) from None


def _failed(error: LithopsMagicError) -> Denied:
    return Denied("", shorten(str(error), LONGEST_REASON, placeholder=" …"))
