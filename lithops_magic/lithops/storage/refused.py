"""Turns S3's errors into Lithops' where it has one, else adds what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lithops_magic.data.inside import refusals
from lithops_magic.lithops.storage.utils import StorageNoSuchKeyError


@contextmanager
def explained(bucket: str, key: str = "", verb: str = "read") -> Iterator[None]:
    """Raise Lithops' error for what does not exist; add what to do to boto3's error about a refusal."""
    try:
        yield
    except Exception as error:
        code = refusals.code_of(error)
        if code in ("404", "NoSuchBucket", "NoSuchKey"):
            raise StorageNoSuchKeyError(bucket, key, code == "NoSuchBucket") from None
        refused = refusals.refusal(error, f"s3://{bucket}/{key}", bucket, verb)
        if refused is None:
            raise
        # A transfer's error hides S3's own, which is its cause.
        said: Any = error if hasattr(error, "response") else error.__context__
        # Changed in place, because programs catch boto3's own class of error.
        said.response["Error"]["Message"] = refused
        raise type(said)(said.response, said.operation_name) from None
