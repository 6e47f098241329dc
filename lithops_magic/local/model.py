"""What the local Lambda's parts exchange: requests, replies, errors and runnable versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """One authenticated HTTP request to the Lambda API; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class ServiceError(Exception):
    """An error as AWS words it; `status` comes from botocore's model where the code is modeled."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        typed: bool = True,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})
        self.headers = dict(headers or {})
        self.typed = typed
        """Whether a modeled error includes its `Type`; AWS omits it in some."""


@dataclass(frozen=True, slots=True)
class SandboxCredentials:
    """The temporary credentials that a function finds in its environment."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder the function sees at `target` (`/mnt/...`)."""

    target: str
    source: Path


@dataclass(frozen=True, slots=True)
class RunnableVersion:
    """All a sandbox needs to run one version of a function; sandboxes of equal versions are interchangeable."""

    name: str
    version: str
    """`$LATEST` or a number."""
    arn: str
    """Unqualified function ARN."""
    role: str
    """ARN of the execution role."""
    runtime: str
    """Lambda's runtime name, or the address of a container image."""
    handler: str
    code: Path
    """Unzipped deployment package, read-only."""
    layers: tuple[Path, ...]
    """Unzipped layers in the order AWS merges them into `/opt`."""
    environment: tuple[tuple[str, str], ...]
    memory: int
    """MB."""
    timeout: int
    """Seconds."""
    ephemeral_storage: int
    """MB of `/tmp`."""
    mounts: tuple[Mount, ...]
    log_group: str
    revision: str
    """Changes whenever code or configuration changes."""
