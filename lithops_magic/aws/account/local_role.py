"""What works on the local AWS, where functions have all permissions, but would fail on AWS."""

from __future__ import annotations

from lithops_magic.aws.account.doctor.facts import Facts
from lithops_magic.aws.account.doctor.permissions import role_permissions
from lithops_magic.aws.account.permission_errors import Unanswered
from lithops_magic.aws.session import Cloud
from lithops_magic.config import Settings


def denied_on_aws(cloud: Cloud, settings: Settings) -> str | None:
    """Return one line on what AWS would deny with the role configured for the local AWS, or None."""
    if not cloud.is_local or settings.execution_role is None:
        return None
    try:
        verdict = role_permissions(Facts(cloud, settings))
    except Unanswered:  # this is only a hint
        return None
    if verdict is None or verdict.status == "ok":
        return None
    return f"this works on the local AWS only. {verdict.text} {verdict.fix}"
