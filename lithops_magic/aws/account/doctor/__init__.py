"""Checks everything that a job needs from AWS, each item independently."""

from __future__ import annotations

from collections.abc import Iterator

from lithops_magic.aws.account.doctor.caller import clock, credentials, region
from lithops_magic.aws.account.doctor.facts import Facts
from lithops_magic.aws.account.doctor.files import access_point, mount_targets, nfs_port
from lithops_magic.aws.account.doctor.limits import code_storage, concurrency, invocation
from lithops_magic.aws.account.doctor.network import object_storage_route, security_groups, subnets
from lithops_magic.aws.account.doctor.permissions import own_permissions, role_permissions
from lithops_magic.aws.account.doctor.role import role, role_trust
from lithops_magic.aws.account.doctor.storage import bucket
from lithops_magic.aws.account.doctor.verdict import Check, CheckFunction
from lithops_magic.aws.account.permission_errors import Unanswered
from lithops_magic.aws.session import Cloud
from lithops_magic.config import Settings

__all__ = ["Check", "check"]

CHECKS: tuple[tuple[str, CheckFunction], ...] = (
    ("credentials", credentials),
    ("clock", clock),
    ("region", region),
    ("role", role),
    ("role trust", role_trust),
    ("role permissions", role_permissions),
    ("your permissions", own_permissions),
    ("bucket", bucket),
    ("subnets", subnets),
    ("security groups", security_groups),
    ("S3 from the VPC", object_storage_route),
    ("access point", access_point),
    ("mount targets", mount_targets),
    ("NFS port", nfs_port),
    ("concurrency", concurrency),
    ("code storage", code_storage),
    ("invocation", invocation),
)


def check(cloud: Cloud, settings: Settings) -> Iterator[Check]:
    """Examine the account; yields each check as soon as it is done, omitting those irrelevant to the settings.

    A denied or failed call makes only its own check unknown.
    """
    facts = Facts(cloud, settings)
    for name, examine in CHECKS:
        try:
            verdict = examine(facts)
        # Facts are not cached when they fail, so a later check that needs the same one reports it, too.
        except Unanswered as unanswered:
            denied = unanswered.denied
            reason = f"needs {denied.permission}" if denied.permission else denied.reason
            yield Check(name, "unknown", f"Could not check: {reason.rstrip('.')}.")
            continue
        if verdict is not None:
            yield Check(name, verdict.status, verdict.text, verdict.fix)
