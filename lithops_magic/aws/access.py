"""Connects with an unfinished configuration, to help the user complete it."""

from __future__ import annotations

from lithops_magic.aws.session import Cloud, Notify, silent
from lithops_magic.config import Settings

_ANY_ROLE = "arn:aws:iam::000000000000:role/not-used"
"""Connecting needs no role: without one, a configuration is merely unfinished."""


def connect_unfinished(settings: Settings, notify: Notify = silent) -> Cloud:
    """Connect using only region and credentials; the other settings may still be wrong.

    Raises
    ------
    ConfigError
        Region, account or credentials are wrong or missing.
    LocalAWSError
        The local AWS does not start.
    """
    # Not a copy with some fields reset: a field that is added to Settings must not be checked here, either.
    where = Settings(
        region=settings.region,
        account_id=settings.account_id,
        profile=settings.profile,
        endpoint_url=settings.endpoint_url,
        local=settings.local,
        access_key_id=settings.access_key_id,
        secret_access_key=settings.secret_access_key,
        session_token=settings.session_token,
        execution_role=_ANY_ROLE,
        source=settings.source,
    )
    return Cloud.connect(where, notify)
