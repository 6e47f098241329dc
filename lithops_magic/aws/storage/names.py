"""Names of the account's bucket and its key prefixes, also needed in tasks."""

from __future__ import annotations

import hashlib
import re

PREFIX = "lithops-magic"

JOB_PREFIX = f"{PREFIX}/"
"""Key prefix of everything jobs store; apart from this and the cache, nothing in the bucket is ours."""

RESULTS = f"{JOB_PREFIX}jobs/"
"""Key prefix of what sandboxes write; other prefixes, written by the notebook, are read-only for them."""

TEMPORARY, FILES = f"{RESULTS}tmp/", f"{RESULTS}files/"
"""Key prefixes for programs that store objects or files without naming a bucket: tasks may list and delete these, and
they expire."""

MAX_NAME = 63
"""Maximum characters (S3, "General purpose bucket naming rules")."""


def bucket_name(account: str, region: str, namespace: str | None) -> str:
    """Return the bucket's name, unique per account, region and namespace."""
    parts = [PREFIX, account, region]
    if namespace is not None:
        parts.insert(1, _label(namespace, MAX_NAME - len("-".join(parts)) - 1))
    return "-".join(parts)


def _label(namespace: str, room: int) -> str:
    """Adapt a namespace for use in a bucket name; if it must change, a hash keeps it unique."""
    if len(namespace) <= room and re.fullmatch(r"[a-z0-9-]+", namespace):
        return namespace
    digest = hashlib.sha256(namespace.encode()).hexdigest()[:8]
    return re.sub(r"[^a-z0-9]", "-", namespace.lower())[: room - len(digest) - 1] + "-" + digest
