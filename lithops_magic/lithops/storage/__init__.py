"""`Storage`: objects in S3 under Lithops' names, in the notebook and in tasks."""

from __future__ import annotations

from lithops_magic.lithops.storage.storage import InternalStorage, Storage

__all__ = ["InternalStorage", "Storage"]
