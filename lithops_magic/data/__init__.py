"""Data as items: objects in S3, web addresses and files, split into parts at record boundaries."""

from __future__ import annotations

from lithops_magic.data.output import checked, connect, storing
from lithops_magic.data.source import Objects, bound, octets, s3

__all__ = ["Objects", "bound", "checked", "connect", "octets", "s3", "storing"]
