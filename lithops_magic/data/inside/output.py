"""Writes tasks' values to S3 and returns references; the key's suffix selects the format."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import sys
from collections.abc import Callable
from importlib import import_module
from types import CoroutineType
from typing import Any

from . import store

MULTIPART = 64 * 2**20
"""Bytes from which an object is uploaded in parallel parts."""
_TEXT = ("csv", "html", "md", "svg", "txt", "xml")
_WORKER = "lithops_magic_worker.cell"

# Recorded jobs refer to the classes of this folder by name (tests/data/test_data_names.py lists them): a class that is
# renamed keeps its old name as an alias, or those jobs cannot be resumed.


class S3Reference:
    """A value stored in S3.

    Attributes
    ----------
    bucket, key : str
        Where it is.
    size : int
        Bytes.
    sha256 : str
        The expected hash of the bytes.
    kind : str
        How the value was written: bytes, text, csv, json, npy, parquet or pickle.
    """

    def __init__(self, bucket: str, key: str, size: int, sha256: str, kind: str) -> None:
        self.bucket, self.key, self.size, self.sha256, self.kind = bucket, key, size, sha256, kind

    def read(self) -> bytes:
        """Return the bytes, verified to be those that were written.

        Raises
        ------
        OSError
            They have been changed or deleted since.
        """
        try:
            with store.client(self.bucket).get_object(Bucket=self.bucket, Key=self.key)["Body"] as body:
                data: bytes = body.read()
        except Exception as error:
            raise store.explained(error, str(self), self.bucket) or error from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise OSError(f"{self} is not what the task wrote there: rerun the task")
        return data

    def get(self) -> Any:
        """Return the value."""
        return loads(self.read(), self.kind)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __repr__(self) -> str:
        return f"<{self}: {self.size:,} bytes>"

    def __reduce__(self) -> tuple[Any, ...]:
        return S3Reference, (self.bucket, self.key, self.size, self.sha256, self.kind)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, S3Reference) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash(self.sha256)


class Storing:
    """A function whose values stay in S3, each under its task's key: a task that runs twice writes it twice.

    Parameters
    ----------
    function
        The user's function.
    bucket, template
        Where values go; `{index}` stands for the task's number.
    needed
        Modules needed for writing; referenced here so that they are shipped.
    """

    def __init__(self, function: Callable[..., Any], bucket: str, template: str, needed: tuple[Any, ...] = ()) -> None:
        self.__wrapped__ = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self._place = bucket, template
        self._needed = needed

    def __call__(self, *arguments: Any) -> Any:
        worker = sys.modules.get(_WORKER)
        if worker is None:
            # When debugged in the notebook, the task writes nothing.
            return self.__wrapped__(*arguments)
        index = worker.Namespace.task
        # The worker restores a cell's names, but cannot see the cell inside this wrapper.
        with worker.Namespace() as names:
            names.save(self.__wrapped__)
            value = self.__wrapped__(*arguments)
            return self._awaited(value, index) if isinstance(value, CoroutineType) else self._stored(value, index)

    async def _awaited(self, value: Any, index: int) -> Any:
        return self._stored(await value, index)

    def _stored(self, value: Any, index: int) -> Any:
        # Nothing to write; the task's own None stays what it is.
        if value is None:
            return None
        bucket, template = self._place
        key = template.format(index=index)
        data, kind = dumps(value, key)
        client, where = store.client(bucket), {"Bucket": bucket, "Key": key}
        try:
            # One request for small values: a multipart upload takes three.
            if len(data) < MULTIPART:
                client.put_object(Body=data, **where)
            else:
                client.upload_fileobj(io.BytesIO(data), **where)
        except Exception as error:
            raise store.explained(error, f"s3://{bucket}/{key}", bucket, "write") or error from None
        return S3Reference(bucket, key, len(data), hashlib.sha256(data).hexdigest(), kind)


Kept = Storing


def dumps(value: Any, key: str) -> tuple[bytes, str]:
    """Serialize a value in the format of the key's suffix, and return its bytes and kind.

    Raises
    ------
    TypeError
        The value cannot be written in that format.
    """
    suffix = key.rpartition("/")[2].rpartition(".")[2].lower()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), "bytes"
    if suffix == "json":
        text = value.to_json() if hasattr(value, "to_json") else json.dumps(value)
        return str(text).encode(), suffix
    if isinstance(value, str) and suffix in _TEXT:
        return value.encode(), "text"
    if suffix == "parquet" and hasattr(value, "to_parquet"):
        return bytes(value.to_parquet(None)), suffix
    if suffix == "csv" and hasattr(value, "to_csv"):
        # A default index is not worth a column.
        return str(value.to_csv(index=type(value.index).__name__ != "RangeIndex")).encode(), suffix
    if suffix in ("parquet", "csv"):
        kind = type(value).__name__
        raise TypeError(f"{key}: a value of type {kind} cannot be written as {suffix}: return a DataFrame")
    if suffix == "npy":
        file = io.BytesIO()
        import_module("numpy").save(file, value, allow_pickle=False)
        return file.getvalue(), suffix
    return import_module("cloudpickle").dumps(value), "pickle"


def loads(data: bytes, kind: str) -> Any:
    """Return the value given to `dumps`, as far as its format preserves it."""
    if kind in ("parquet", "csv"):
        return getattr(import_module("pandas"), f"read_{kind}")(io.BytesIO(data))
    if kind == "npy":
        return import_module("numpy").load(io.BytesIO(data), allow_pickle=False)
    readers: dict[str, Callable[[bytes], Any]] = {"json": json.loads, "text": bytes.decode, "pickle": pickle.loads}
    return readers.get(kind, bytes)(data)
