"""What the bucket of an account and its keys are called: tasks need to know that as well."""

from __future__ import annotations

import hashlib
import re

PREFIX = "lithops-magic"

JOB_PREFIX = f"{PREFIX}/"
"""What jobs store has keys that begin like this; beside these and the cache nothing in the bucket is ours."""

RESULTS = f"{JOB_PREFIX}jobs/"
"""What sandboxes write; what the notebook sends is beside it, and they may only read it."""

TEMPORARY, FILES = f"{RESULTS}tmp/", f"{RESULTS}files/"
"""Objects of programs that name no bucket, and their files: tasks also list and delete these, and they expire."""

LONGEST_NAME = 63
"""Characters (S3, "General purpose bucket naming rules")."""


def bucket_name(account: str, region: str, namespace: str | None) -> str:
    """Return the bucket's name, which no two accounts, regions or namespaces share."""
    parts = [PREFIX, account, region]
    if namespace is not None:
        parts.insert(1, _label(namespace, LONGEST_NAME - len("-".join(parts)) - 1))
    return "-".join(parts)


def _label(namespace: str, room: int) -> str:
    """Make a namespace fit for a bucket's name; one that must change gets a hash, so that it stays unique."""
    if len(namespace) <= room and re.fullmatch(r"[a-z0-9-]+", namespace):
        return namespace
    digest = hashlib.sha256(namespace.encode()).hexdigest()[:8]
    return re.sub(r"[^a-z0-9]", "-", namespace.lower())[: room - len(digest) - 1] + "-" + digest
