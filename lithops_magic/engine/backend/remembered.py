"""Functions that were deployed from this machine: the first job of a new kernel invokes them without looking first.

What is remembered may be gone; Invoke says so then, and only then is it looked for, or deployed, again.
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
from lithops_magic.config import places
from lithops_magic.engine.durable import private

if TYPE_CHECKING:
    from lithops_magic.aws.session import Cloud
    from lithops_magic.config import Settings
    from lithops_magic.packages import Supply

FRESH = 24 * 3600.0
"""Seconds: what functions need in S3 expires after days, and quotas change."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of a function and of the account that has it."""

    function: DeployedFunction
    concurrency: int | None
    """None where the endpoint does not tell."""
    copies: tuple[str, ...] = ()
    """Names of further functions with the same definition."""
    asked: int = 1
    """Functions that were asked for: AWS's quota may be worth fewer."""


def key(cloud: Cloud, settings: Settings, given: Supply, package: bytes) -> str:
    """Return what names a function, its layers included, before they are published."""
    base = creation_request(settings, role_arn(cloud, settings), package)["FunctionName"]
    parts = [base, cloud.region, cloud.endpoint_url or "", hashlib.sha256(cloud.local_secret().encode()).hexdigest()]
    parts += [layer.digest for layer in given.layers] + ["-"] + [archive.digest for archive in given.archives]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def recall(name: str, copies: int = 1) -> Remembered | None:
    """Return what was remembered under this name, unless that is too long ago or cannot be trusted.

    Parameters
    ----------
    copies
        Functions that are wanted: it is no help if fewer were asked for.
    """
    path = _folder() / name
    try:
        private.check(path.parent)
        told = json.loads(private.read(path))
        if not 0 <= time.time() - told["at"] < FRESH:
            return None
        if told["asked"] < copies:
            return None
        function = DeployedFunction(**{**told["function"], "created": False})
        return Remembered(function, told["concurrency"], tuple(told["copies"]), told["asked"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def remember(name: str, found: Remembered) -> None:
    """Write it down, if that is possible, and forget what is too old."""
    folder = _folder()
    told = {"at": time.time(), **asdict(found)}
    with contextlib.suppress(OSError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        private.check(folder)
        descriptor, scratch = tempfile.mkstemp(dir=folder)
        with os.fdopen(descriptor, "w") as file:
            json.dump(told, file)
        Path(scratch).replace(folder / name)
        for other in folder.iterdir():
            if time.time() - other.stat().st_mtime > FRESH:
                other.unlink(missing_ok=True)


def _folder() -> Path:
    return places.caches() / "functions"
