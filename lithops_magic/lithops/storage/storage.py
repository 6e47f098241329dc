"""`Storage`, on top of boto3's S3 client with the notebook's or the task's credentials."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lithops_magic.aws.storage.names import TEMPORARY
from lithops_magic.data.inside import refusals
from lithops_magic.errors import AwsError, MisuseError
from lithops_magic.globs import matcher
from lithops_magic.lithops.storage.place import BACKEND, Place
from lithops_magic.lithops.storage.refused import explained
from lithops_magic.lithops.storage.transfer import readable, shown
from lithops_magic.lithops.storage.utils import CloudObject, StorageConfigMismatchError, StorageNoSuchKeyError

_AT_ONCE = 1000
"""Maximum keys per DeleteObjects request (Amazon S3 API reference)."""


class Storage:
    """Objects in S3, in the notebook and in tasks: it is picklable, and passed to a task's parameter `storage`.

    Parameters
    ----------
    config
        Lithops' configuration, overriding the default; its ``aws_s3.storage_bucket`` is the default bucket,
        else the job bucket, in which objects expire.
    backend
        "aws_s3", or "localhost", which is the local AWS.
    storage_config
        The section `aws_s3`, as `get_storage_config` returns it.

    Raises
    ------
    ConfigError
        It is another cloud's storage.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        backend: str | None = None,
        storage_config: Mapping[str, Any] | None = None,
    ) -> None:
        self._place = Place(config, backend, storage_config)
        self._prefix = f"{TEMPORARY}{secrets.token_hex(6)}/"
        self.backend = BACKEND

    @classmethod
    def at(cls, bucket: str, prefix: str) -> Storage:
        """Return a storage with this default bucket, and this prefix for objects without a given key."""
        made = cls()
        made._place.named, made._prefix = bucket, prefix
        return made

    def __reduce__(self) -> Any:
        # Credentials, clients and file contents are not pickled.
        return Storage.at, (self.bucket, self._prefix)

    @property
    def bucket(self) -> str:
        """The default bucket."""
        return self._place.bucket

    def get_client(self) -> Any:
        """Return boto3's client."""
        return self._place.client

    def get_storage_config(self) -> dict[str, Any]:
        """Return the `storage_config` of an equivalent storage."""
        return {"backend": BACKEND, BACKEND: {"storage_bucket": self.bucket}}

    @property
    def config(self) -> dict[str, Any]:
        """The same as `get_storage_config`."""
        return self.get_storage_config()

    # Buckets

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket unless it exists."""
        try:
            self.head_bucket(bucket)
        except StorageNoSuchKeyError:
            region = self._place.client.meta.region_name
            # S3 accepts every region but us-east-1 as a location constraint.
            place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            with explained(bucket, verb="write"):
                self._place.client.create_bucket(Bucket=bucket, **place)

    def head_bucket(self, bucket: str) -> Any:
        """Return S3's response about a bucket."""
        with explained(bucket, verb="list"):
            return self._place.client.head_bucket(Bucket=bucket)

    # Objects

    def put_object(self, bucket: str, key: str, body: Any) -> None:
        """Write an object: text, bytes or a file, of any size, in parts if it is large."""
        with explained(bucket, key, "write"):
            self._place.client.upload_fileobj(readable(body), bucket, key)

    def get_object(
        self, bucket: str, key: str, stream: bool = False, extra_get_args: Mapping[str, Any] | None = None
    ) -> Any:
        """Return an object's bytes, or a file to read them from; `extra_get_args` are boto3's, such as ``Range``."""
        with explained(bucket, key):
            body = self._place.client.get_object(Bucket=bucket, Key=key, **(extra_get_args or {}))["Body"]
            return body if stream else body.read()

    def upload_file(
        self,
        file_name: str | os.PathLike[str],
        bucket: str,
        key: str | None = None,
        extra_args: Mapping[str, Any] | None = None,
        config: Any = None,
    ) -> bool:
        """Upload a file, in parallel parts if it is large; the key defaults to its name."""
        size, name = Path(file_name).stat().st_size, Path(file_name).name
        with explained(bucket, key or name, "write"), shown(size, name) as moved:
            options = {"ExtraArgs": dict(extra_args or {}), "Config": config, "Callback": moved}
            self._place.client.upload_file(os.fspath(file_name), bucket, key or name, **options)
        return True

    def download_file(
        self,
        bucket: str,
        key: str,
        file_name: str | os.PathLike[str] | None = None,
        extra_args: Mapping[str, Any] | None = None,
        config: Any = None,
    ) -> bool:
        """Download an object to a file, in parallel parts if it is large; the file name defaults to its key."""
        place = Path(file_name or key)
        place.parent.mkdir(parents=True, exist_ok=True)
        size = self._size(bucket, key)
        with explained(bucket, key), shown(size, place.name) as moved:
            options = {"ExtraArgs": dict(extra_args or {}), "Config": config, "Callback": moved}
            self._place.client.download_file(bucket, key, str(place), **options)
        return True

    def head_object(self, bucket: str, key: str) -> dict[str, Any]:
        """Return the headers of an object, such as ``content-length``."""
        with explained(bucket, key):
            headers: dict[str, Any] = self._head(bucket, key)["ResponseMetadata"]["HTTPHeaders"]
            return headers

    def delete_object(self, bucket: str, key: str) -> None:
        """Delete an object, if it exists."""
        with explained(bucket, key, "delete"):
            self._place.client.delete_object(Bucket=bucket, Key=key)

    def delete_objects(self, bucket: str, key_list: Iterable[str]) -> list[Any]:
        """Delete objects, a thousand at a time.

        Raises
        ------
        AwsError
            S3 did not delete one of them.
        """
        if isinstance(key_list, str):
            raise MisuseError(f"delete_objects takes a list of keys: delete_object deletes one, such as {key_list!r}")
        keys, answers = list(key_list), []
        for start in range(0, len(keys), _AT_ONCE):
            wanted = {"Objects": [{"Key": key} for key in keys[start : start + _AT_ONCE]], "Quiet": True}
            with explained(bucket, verb="delete"):
                answers.append(self._place.client.delete_objects(Bucket=bucket, Delete=wanted))
            for left in answers[-1].get("Errors", ())[:1]:
                address, refused = f"s3://{bucket}/{left['Key']}", SimpleNamespace(response={"Error": left})
                reason = refusals.refusal(refused, address, bucket, "delete")
                raise AwsError(reason or f"{address} was not deleted: {left.get('Message')}", code=left["Code"])
        return answers

    def list_objects(
        self, bucket: str, prefix: str | None = None, match_pattern: str | None = None
    ) -> list[dict[str, Any]]:
        """Return S3's entry (``Key``, ``Size`` and more) of each object with this prefix that matches the pattern."""
        match = None if match_pattern is None else matcher(match_pattern.removeprefix("/"))
        with explained(bucket, prefix or "", "list"):
            pages = self._place.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix or "")
            found = itertools.chain.from_iterable(page.get("Contents", ()) for page in pages)
            return [each for each in found if match is None or match.fullmatch(each["Key"])]

    def list_keys(self, bucket: str, prefix: str | None = None) -> list[str]:
        """Return the keys that begin with `prefix`."""
        return [each["Key"] for each in self.list_objects(bucket, prefix)]

    # Cloud objects

    def put_cloudobject(self, body: Any, bucket: str | None = None, key: str | None = None) -> CloudObject:
        """Write an object, and return a reference for `get_cloudobject`, here and in every task."""
        made = CloudObject(
            self.backend, bucket or self.bucket, key or f"{self._prefix}cloudobject_{os.urandom(8).hex()}"
        )
        self.put_object(made.bucket, made.key, body)
        return made

    def get_cloudobject(self, cloudobject: CloudObject, stream: bool = False) -> Any:
        """Return its bytes, or a file to read them from."""
        return self.get_object(*self._location(cloudobject), stream=stream)

    def delete_cloudobject(self, cloudobject: CloudObject) -> None:
        """Delete it."""
        self.delete_object(*self._location(cloudobject))

    def delete_cloudobjects(self, cloudobjects: Iterable[CloudObject] | CloudObject) -> None:
        """Delete several cloud objects, which may be in different buckets."""
        if isinstance(cloudobjects, CloudObject):
            cloudobjects = [cloudobjects]
        keys: dict[str, list[str]] = {}
        for bucket, key in list(map(self._location, cloudobjects)):
            keys.setdefault(bucket, []).append(key)
        for bucket, these in keys.items():
            self.delete_objects(bucket, these)

    def _location(self, cloudobject: CloudObject) -> tuple[str, str]:
        if not isinstance(cloudobject, CloudObject):
            raise MisuseError(f"a CloudObject is what put_cloudobject returns, not {type(cloudobject).__name__}")
        if cloudobject.backend != self.backend:
            raise StorageConfigMismatchError(
                f"{cloudobject} is in {cloudobject.backend}, this storage is {self.backend}"
            )
        return cloudobject.bucket, cloudobject.key

    def _head(self, bucket: str, key: str) -> Any:
        return self._place.client.head_object(Bucket=bucket, Key=key)

    def _size(self, bucket: str, key: str) -> int:
        with explained(bucket, key):
            return int(self._head(bucket, key)["ContentLength"])


class InternalStorage:
    """Where Lithops' executors store their own data: the default bucket of a `Storage`."""

    def __init__(self, storage_config: Mapping[str, Any] | None = None) -> None:
        self.storage = Storage(storage_config=storage_config)
        self.backend = self.storage.backend

    bucket = property(lambda self: self.storage.bucket)

    def get_client(self) -> Any:
        """Return boto3's client."""
        return self.storage.get_client()

    def get_storage_config(self) -> dict[str, Any]:
        """Return the `storage_config` of an equivalent storage."""
        return self.storage.get_storage_config()

    def put_data(self, key: str, data: Any) -> None:
        """Write an object."""
        self.storage.put_object(self.bucket, key, data)

    def get_data(self, key: str, stream: bool = False, extra_get_args: Mapping[str, Any] | None = None) -> Any:
        """Return an object's bytes, or a file to read them from."""
        return self.storage.get_object(self.bucket, key, stream, extra_get_args)

    def del_data(self, key: str) -> None:
        """Delete an object."""
        self.storage.delete_object(self.bucket, key)
