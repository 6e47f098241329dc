"""Settings: one value that determines where and how functions run; pure data, no AWS library."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lithops_magic.config.limits import FREE_TMP

if TYPE_CHECKING:
    from lithops_magic.config.problems import Problem

DEFAULT_MEMORY = 1769
"""MB at which Lambda provides one full vCPU (AWS Lambda developer guide, "Configure Lambda function memory")."""

DEFAULT_TIMEOUT = 180
"""Seconds; Lithops' default."""

DEFAULT_EPHEMERAL_STORAGE = FREE_TMP
"""MB of `/tmp` included in Lambda's price."""

SETTING_OF = {
    "memory": "memory",
    "timeout": "timeout",
    "tmp": "ephemeral_storage",
    "env": "env_vars",
    "workers": "max_workers",
}
"""Options of a job, with the settings that provide their defaults."""

ALIASES = {
    **{setting: option for option, setting in SETTING_OF.items() if setting != option},
    "runtime_memory": "memory",
    "runtime_timeout": "timeout",
    "chunk_size": "chunksize",
    "chunks_n": "chunksize",
    "environment": "env",
    "extra_env": "env",
}
"""Other names of options, in Lithops' configuration and calls, for the error message if one is used."""

CREDENTIALS = ("access_key_id", "secret_access_key", "session_token")
"""Secret fields: never shown, saved or sent."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """An EFS or S3 Files access point and the folder where the function sees it."""

    access_point: str
    mount_path: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides where a function runs and what it may use.

    Nothing is validated on construction, so that a form can hold unfinished input; `problems()` lists what is wrong.
    Neither credentials nor values of environment variables appear in the repr.
    """

    region: str | None = None
    """None: found by boto3 (environment, profile)."""
    execution_role: str | None = None
    memory: int = DEFAULT_MEMORY
    """MB."""
    timeout: int = DEFAULT_TIMEOUT
    """Seconds."""
    ephemeral_storage: int = DEFAULT_EPHEMERAL_STORAGE
    """MB of `/tmp`."""
    architecture: str = "x86_64"
    runtime: str | None = None
    """A container image in ECR with our worker; None: AWS's runtime for this Python."""
    max_workers: int | None = None
    """Maximum concurrent sandboxes; None: what the account allows."""
    worker_processes: int = 1
    # Mappings are left out of the hash, because a dict has none; they are still compared.
    env_vars: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    user_tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    efs: tuple[FileSystem, ...] = ()
    layers: tuple[str, ...] = ()
    namespace: str | None = None
    account_id: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    local: bool = True
    """Run on the local AWS of this machine instead of an account."""
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    source: str = field(default="defaults", compare=False)
    """Human-readable origin of the values: a file, an environment variable, or "defaults"."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """Unused and probably misspelled parts of the configuration, one sentence each."""
    unread: tuple[str, ...] = field(default=(), compare=False)
    """The `notes` that every job reports: unread keys, which are probably mistakes."""

    def replace(self, **changes: Any) -> Settings:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def without_credentials(self) -> Settings:
        """Return a copy that is safe to save."""
        return self.replace(**dict.fromkeys(CREDENTIALS))

    def of_profile(self, profile: str) -> Settings:
        """Return a copy with credentials from this profile of the AWS configuration."""
        return self.without_credentials().replace(profile=profile)

    def problems(self) -> list[Problem]:
        """List everything that AWS would reject, in field order; empty means usable."""
        from lithops_magic.config.problems import find_problems

        return find_problems(self)
