"""What all Lambda operations share: the registry, storage, the other services and download links."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from botocore.model import ServiceModel

from lithops_magic.local.control.archives import Archive, Archives
from lithops_magic.local.control.platform import Platform
from lithops_magic.local.control.registry import Registry
from lithops_magic.local.control.validation import check_zip_size
from lithops_magic.local.model import ServiceError
from lithops_magic.local.names import Account, invalid

Item = TypeVar("Item")

Result = dict[str, Any]

PAGE = 50
"""Maximum number of items in one reply of a list operation, whatever MaxItems asks for."""


class Sandboxes(Protocol):
    """The part of the runtime that the control plane talks to."""

    async def retire(self, name: str) -> None:
        """End the sandboxes of a function that changed or is gone."""


class Links:
    """Unguessable download addresses, valid while this process runs."""

    def __init__(self, base_url: str) -> None:
        self._base = f"{base_url.rstrip('/')}/_local/download"
        self._secret = secrets.token_bytes(32)

    def url(self, archive: Archive) -> str:
        # Signed, because whoever has the same zip knows its digest.
        return f"{self._base}/{archive.digest}-{self._signature(archive.digest)}"

    def digest(self, token: str) -> str | None:
        """Return the digest of the archive a token refers to, or None if it is not one of ours."""
        digest, _, signature = token.partition("-")
        return digest if hmac.compare_digest(signature.encode(), self._signature(digest).encode()) else None

    def _signature(self, digest: str) -> str:
        return hmac.new(self._secret, digest.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Context:
    account: Account
    registry: Registry
    archives: Archives
    platform: Platform
    sandboxes: Sandboxes
    model: ServiceModel
    links: Links
    concurrency: int
    """Concurrent executions the account may have."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the zip of a function or layer comes from, as requests name it."""

    zip: bytes | None = field(repr=False)
    bucket: str | None
    key: str | None
    version: str | None

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Source:
        return cls(params.get("ZipFile"), params.get("S3Bucket"), params.get("S3Key"), params.get("S3ObjectVersion"))

    async def read(self, platform: Platform) -> bytes:
        """The zip's bytes, from the request or from S3."""
        if self.zip is not None:
            check_zip_size(self.zip)
            return self.zip
        if self.bucket and self.key:
            return await platform.read_object(self.bucket, self.key, self.version)
        raise invalid("Please provide a source for function code.")


def page(
    items: Iterable[Item], params: Mapping[str, Any], key: Callable[[Item], str], *, newest_first: bool = False
) -> tuple[list[Item], str | None]:
    """Return at most MaxItems after the request's Marker, and the next Marker; changes between pages skip no item."""
    ordered = sorted(items, key=key, reverse=newest_first)
    marker = _decode(params["Marker"]) if params.get("Marker") else None
    if marker is not None:
        ordered = [item for item in ordered if (key(item) < marker if newest_first else key(item) > marker)]
    size = min(params.get("MaxItems", PAGE), PAGE)
    more = len(ordered) > size
    return ordered[:size], base64.urlsafe_b64encode(key(ordered[size - 1]).encode()).decode() if more else None


def _decode(marker: str) -> str:
    try:
        return base64.urlsafe_b64decode(marker.encode("ascii")).decode()
    except ValueError:
        raise invalid("Invalid marker.") from None


def check_revision(params: Mapping[str, Any], revision: str, call: str = "GetFunction/GetAlias") -> None:
    if params.get("RevisionId", revision) != revision:
        raise ServiceError(
            "PreconditionFailedException",
            f"The Revision Id provided does not match the latest Revision Id. Call the {call} API to retrieve "
            "the latest Revision Id",
            status=412,
        )


def unsupported(what: str) -> ServiceError:
    """Return the error for what AWS supports and the local AWS does not."""
    return ServiceError("NotImplementedException", f"The local AWS does not support {what}.", status=501)
