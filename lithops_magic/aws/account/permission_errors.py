"""Calls to AWS that may be denied or fail without affecting others."""

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
"""Error codes of AWS's services for a missing permission."""

_PREFIXES = {"efs": "elasticfilesystem"}
"""Services whose permissions have another prefix than their client's name."""

_ACTIONS = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "lambda:Invoke": "lambda:InvokeFunction",
}
"""Calls whose permission has another name (AWS's service authorization reference)."""

MAX_REASON = 300
"""Maximum characters, since the text is shown next to a form field."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Why AWS did not provide an answer."""

    permission: str
    """The missing permission, such as ``ec2:DescribeSubnets``; empty if something else went wrong."""
    reason: str
    """One human-readable sentence."""


class Unanswered(Exception):
    """AWS did not answer a question."""

    def __init__(self, denied: Denied, code: str) -> None:
        super().__init__(denied.reason)
        self.denied = denied
        self.code = code


def permission(service: str, operation: str) -> str:
    """Return the permission that an operation of a boto3 client requires."""
    name = f"{_PREFIXES.get(service, service)}:{operation}"
    return _ACTIONS.get(name, name)


@contextmanager
def asking(service: str) -> Iterator[None]:
    """Convert every failure of a call to `service` to `Unanswered`.

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
    return Denied("", shorten(str(error), MAX_REASON, placeholder=" …"))
