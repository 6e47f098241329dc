"""References to objects, and errors for missing ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from lithops_magic.errors import LithopsMagicError


class StorageNoSuchKeyError(LithopsMagicError, LookupError):
    """The object or bucket does not exist."""

    def __init__(self, bucket: str, key: str, no_bucket: bool = False) -> None:
        super().__init__(bucket, key, no_bucket)
        self.bucket, self.key, self.no_bucket = bucket, key, no_bucket

    def __str__(self) -> str:
        why = f": there is no bucket {self.bucket}" if self.no_bucket else "."
        return f"No such key /{self.bucket}/{self.key} found in storage{why}"


class StorageConfigMismatchError(LithopsMagicError):
    """An object belongs to another storage backend."""


@dataclass(frozen=True)
class CloudObject:
    """A reference to an object in S3 that works wherever it is unpickled."""

    backend: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"<CloudObject at {self.backend}://{self.bucket}/{self.key}>"


@dataclass(frozen=True)
class CloudObjectUrl:
    """An object behind a URL."""

    path: str

    def __str__(self) -> str:
        return f"<CloudObject at {self.path}>"

    @property
    def url(self) -> str:
        """The URL."""
        return self.path


@dataclass(frozen=True)
class CloudObjectLocal:
    """A file of this machine."""

    path: str

    @property
    def bucket(self) -> str:
        """Its folder."""
        return os.path.dirname(self.path)  # noqa: PTH120 - as Lithops' does

    @property
    def key(self) -> str:
        """Its name."""
        return os.path.basename(self.path)  # noqa: PTH119

    def __str__(self) -> str:
        return f"<CloudObject at {self.path}>"


def clean_bucket(storage: Any, bucket: str, prefix: str, sleep: float = 0) -> None:
    """Delete every object whose key begins with `prefix`."""
    storage.delete_objects(bucket, storage.list_keys(bucket, prefix))
