"""Settings: one value that says where and how functions run; pure data, no AWS library."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lithops_magic.config.limits import FREE_TMP

if TYPE_CHECKING:
    from lithops_magic.config.problems import Problem

DEFAULT_MEMORY = 1769
"""MB at which Lambda gives one whole vCPU (AWS Lambda developer guide, "Configure Lambda function memory")."""

DEFAULT_TIMEOUT = 180
"""Seconds; Lithops' own default."""

DEFAULT_EPHEMERAL_STORAGE = FREE_TMP
"""MB of `/tmp` that Lambda includes in its price."""

SETTING_OF = {
    "memory": "memory",
    "timeout": "timeout",
    "tmp": "ephemeral_storage",
    "env": "env_vars",
    "workers": "max_workers",
}
"""Options of a job, and the settings that are their defaults."""

ALIASES = {
    **{setting: option for option, setting in SETTING_OF.items() if setting != option},
    "runtime_memory": "memory",
    "runtime_timeout": "timeout",
    "chunk_size": "chunksize",
    "chunks_n": "chunksize",
    "environment": "env",
    "extra_env": "env",
}
"""What options are called elsewhere, in Lithops' configuration and calls: told to who uses such a name."""

CREDENTIALS = ("access_key_id", "secret_access_key", "session_token")
"""The fields that are secret: never shown, written down or sent."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """An EFS or S3 Files access point and the folder where the function sees it."""

    access_point: str
    mount_path: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides where a function runs and what it may use.

    Nothing is checked on construction: `problems()` tells what is wrong, so that a form can hold unfinished input.
    Neither credentials nor values of environment variables appear in its repr.
    """

    region: str | None = None
    """None: as boto3 finds it (environment, profile)."""
    execution_role: str | None = None
    memory: int = DEFAULT_MEMORY
    """MB."""
    timeout: int = DEFAULT_TIMEOUT
    """Seconds."""
    ephemeral_storage: int = DEFAULT_EPHEMERAL_STORAGE
    """MB of `/tmp`."""
    architecture: str = "x86_64"
    runtime: str | None = None
    """A container image in ECR that has our worker; None: AWS's own runtime of this Python."""
    max_workers: int | None = None
    """Most sandboxes at once; None: what the account allows."""
    worker_processes: int = 1
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
    """Where the values come from, for people: a file, an environment variable or "defaults"."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What the configuration says that is not used, or probably misspelled, one sentence each."""
    unread: tuple[str, ...] = field(default=(), compare=False)
    """The `notes` that every job reports: keys that are not read, which are probably mistakes."""

    def replace(self, **changes: Any) -> Settings:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def without_credentials(self) -> Settings:
        """Return a copy that can be written down."""
        return self.replace(**dict.fromkeys(CREDENTIALS))

    def of_profile(self, profile: str) -> Settings:
        """Return a copy that takes its credentials from this profile of the AWS configuration."""
        return self.without_credentials().replace(profile=profile)

    def problems(self) -> list[Problem]:
        """Tell everything that AWS would refuse, in the order of the fields; empty means usable."""
        from lithops_magic.config.problems import find_problems

        return find_problems(self)
