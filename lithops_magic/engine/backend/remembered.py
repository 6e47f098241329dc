"""Functions deployed from this machine: a new kernel's first job invokes them without looking them up first.

A remembered function may be gone; Invoke then says so, and only then is it looked up or deployed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lithops_magic.aws.definition import creation_request
from lithops_magic.aws.deploy.function import DeployedFunction
from lithops_magic.aws.deploy.role import role_arn
from lithops_magic.config import user_dirs
from lithops_magic.engine.durable import private

if TYPE_CHECKING:
    from lithops_magic.aws.session import Cloud
    from lithops_magic.config import Settings
    from lithops_magic.packages import Supply

FRESH = 24 * 3600.0
"""Seconds; limited because a function's objects in S3 expire after days, and quotas change."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known about a function and its account."""

    function: DeployedFunction
    concurrency: int | None
    """None if the endpoint does not tell."""
    copies: tuple[str, ...] = ()
    """Names of the copies with the same definition."""
    asked: int = 1
    """Number of functions requested; AWS's quota may justify fewer."""


def key(cloud: Cloud, settings: Settings, given: Supply, package: bytes) -> str:
    """Return a key for a function and its layers that is known before they are published."""
    base = creation_request(settings, role_arn(cloud, settings), package)["FunctionName"]
    parts = [base, cloud.region, cloud.endpoint_url or "", hashlib.sha256(cloud.local_secret().encode()).hexdigest()]
    parts += [layer.digest for layer in given.layers] + ["-"] + [archive.digest for archive in given.archives]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def recall(name: str, copies: int = 1) -> Remembered | None:
    """Return what was remembered under this name, unless it is too old or cannot be trusted.

    Parameters
    ----------
    copies
        Number of functions wanted: a record of fewer is useless.
    """
    path = _folder() / name
    try:
        # A file that another user wrote could name that user's function, which would get the job's data.
        private.check(path.parent)
        record = json.loads(private.read(path))
        if not 0 <= time.time() - record["at"] < FRESH:
            return None
        if record["asked"] < copies:
            return None
        function = DeployedFunction(**{**record["function"], "created": False})
        return Remembered(function, record["concurrency"], tuple(record["copies"]), record["asked"])
    except (OSError, ValueError, TypeError, KeyError):  # absent, or written by another version: it is looked up instead
        return None


def remember(name: str, found: Remembered) -> None:
    """Save it, if possible, and drop entries that are too old."""
    folder = _folder()
    record = {"at": time.time(), **asdict(found)}
    with contextlib.suppress(OSError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        private.check(folder)
        descriptor, scratch = tempfile.mkstemp(dir=folder)
        with os.fdopen(descriptor, "w") as file:
            json.dump(record, file)
        # Atomically: several kernels may deploy at the same time.
        Path(scratch).replace(folder / name)
        for other in folder.iterdir():
            if time.time() - other.stat().st_mtime > FRESH:
                other.unlink(missing_ok=True)


def _folder() -> Path:
    return user_dirs.caches() / "functions"
