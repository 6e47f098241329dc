"""Data where they lie: objects in S3, addresses and files as items, in parts that end where records do."""

from __future__ import annotations

from lithops_magic.data.output import checked, connect, kept
from lithops_magic.data.source import Objects, bound, octets, s3

__all__ = ["Objects", "bound", "checked", "connect", "kept", "octets", "s3"]
