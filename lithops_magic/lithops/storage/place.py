"""The S3 behind a `Storage`: its client and its default bucket."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lithops_magic.errors import ConfigError
from lithops_magic.lithops import inside

BACKEND = "aws_s3"
BACKENDS = (BACKEND, "localhost")
"""Lithops' storage backends that we implement; localhost is the local AWS's S3."""


class Place:
    """The notebook's account or the local AWS, or within a task what its role may reach.

    Parameters
    ----------
    config, backend, storage_config
        As of a `Storage`.

    Raises
    ------
    ConfigError
        It is a storage of another cloud.
    """

    def __init__(
        self, config: Mapping[str, Any] | None, backend: str | None, storage_config: Mapping[str, Any] | None
    ) -> None:
        given = storage_config or config or {}
        name = backend or given.get("backend") or (given.get("lithops") or {}).get("storage")
        if name is not None and name not in BACKENDS:
            raise ConfigError(
                f"the storage {name!r} is not Amazon S3: here it is {' and '.join(BACKENDS)}; for others, use Lithops "
                "itself."
            )
        self._config, self._local = config, name == "localhost"
        self.named: str | None = (given.get(BACKEND) or {}).get("storage_bucket")
        """The default bucket, if one is configured."""
        if inside.is_task():
            self.named = self.named or os.environ.get(inside.BUCKET)

    @cached_property
    def _cloud(self) -> Any:
        from lithops_magic.aws.session import Cloud
        from lithops_magic.lithops import config

        data, settings = config.read(self._config, None, {}, "localhost" if self._local else None)
        self.named = self.named or config.bucket(data)
        return Cloud.connect(settings), settings

    @cached_property
    def client(self) -> Any:
        """boto3's client."""
        if inside.is_task():
            # More tries than boto3's default: many tasks may start at once and be told to slow down.
            return inside.client("s3", retries={"mode": "standard", "total_max_attempts": 5}, max_pool_connections=32)
        return self._cloud[0].client("s3")

    @cached_property
    def bucket(self) -> str:
        """The default bucket."""
        if self.named is None and not inside.is_task():
            # Looking for the account also reads the configuration, which may name a bucket: hence the second look
            # below.
            cloud, settings = self._cloud
            if self.named is None:
                from lithops_magic.aws.storage.bucket import ensure_bucket

                return ensure_bucket(cloud, settings)
        return self.named or inside.bucket()
