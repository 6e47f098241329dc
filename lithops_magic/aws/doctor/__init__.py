"""Checks of everything that a run needs from AWS, each by itself."""

from __future__ import annotations

from collections.abc import Iterator

from ...config import Settings
from ..asking import Unanswered
from ..session import Cloud
from .caller import clock, credentials, region
from .facts import Facts
from .files import access_point, mount_targets, nfs_port
from .limits import code_storage, concurrency, invocation
from .network import object_storage_route, security_groups, subnets
from .permissions import own_permissions, role_permissions
from .role import role, role_trust
from .storage import bucket
from .verdict import Check, Examination

__all__ = ["Check", "check"]

EXAMINATIONS: tuple[tuple[str, Examination], ...] = (
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
    """Examine the account; yields each check as soon as it is known, leaving out what the settings do not concern.

    A call that is denied or fails makes its own check unknown and no other.
    """
    facts = Facts(cloud, settings)
    for name, examine in EXAMINATIONS:
        try:
            verdict = examine(facts)
        except Unanswered as unanswered:
            denied = unanswered.denied
            reason = f"needs {denied.permission}" if denied.permission else denied.reason
            yield Check(name, "unknown", f"Could not check: {reason.rstrip('.')}.")
            continue
        if verdict is not None:
            yield Check(name, verdict.status, verdict.text, verdict.fix)
