"""Objects in the account's bucket: data too large for an invocation, and kept results."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.session import Cloud, Notify, silent
from lithops_magic.aws.storage.bucket import (
    EXPIRY_DAYS,
    JOB_PREFIX,
    Owned,
    bucket_name,
    ensure_bucket,
    ensure_cache,
)
from lithops_magic.aws.storage.retries import with_retries
from lithops_magic.config import Settings
from lithops_magic.errors import AwsError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

FRESH = timedelta(days=EXPIRY_DAYS - 2)
"""Maximum age of an object to rely on: S3 could delete an older one before a long job is over."""

TAMPERED = "ObjectTampered"
"""Error code for an object that is not what was written."""

_DELETE_BATCH = 1000
"""Maximum keys of one DeleteObjects request."""
_NOT_FOUND = ("NoSuchKey", "NoSuchBucket", "NotFound", "404")
_EXISTS = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
"""Error codes of a conditional write that another writer won; 409 if that one is still writing."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object as returned by a listing."""

    key: str
    size: int
    modified: float
    """When it was written, in seconds since 1970."""


class ObjectStore:
    """The objects of one account, region and namespace. All methods are thread-safe.

    Parameters
    ----------
    cloud, settings
        Determine the bucket, which is created when the first object is written.
    account
        The owner, if known without asking AWS.
    """

    def __init__(self, cloud: Cloud, settings: Settings, *, account: str | None = None) -> None:
        self.owner = account or cloud.account_id
        self.bucket = bucket_name(self.owner, cloud.region, settings.namespace)
        self._owned: Owned = {"Bucket": self.bucket, "ExpectedBucketOwner": self.owner}
        self._cloud = cloud
        self._settings = settings
        self._lock = threading.Lock()
        self._ensured = False
        self._present: set[str] = set()

    @property
    def start(self) -> str:
        """Identifies the start of the local AWS that holds the objects; empty on AWS."""
        secret = self._cloud.local_secret()
        return hashlib.sha256(secret.encode()).hexdigest()[:16] if secret else ""

    @property
    def _s3(self) -> S3Client:
        return self._cloud.client("s3")

    def prepare(self, notify: Notify = silent) -> None:
        """Create the bucket if permitted; if not, the first write of an object reports it."""
        # No threads can be started at interpreter exit; the next process then completes the bucket.
        with suppress(AwsError, RuntimeError):
            self._ensure_bucket(notify)

    def put(self, key: str, data: bytes) -> None:
        """Write an object; `key` begins with `JOB_PREFIX`.

        Raises
        ------
        AwsError
            The call is not permitted, or the bucket is unavailable.
        """
        self._put(lambda: self._write(key, data))

    def _put(self, write: Callable[[], None]) -> None:
        with_retries(self._ensure_bucket)
        try:
            with_retries(write)
        except AwsError as error:
            if error.code != "NoSuchBucket":
                raise
            # The bucket was deleted in the meantime.
            self._ensured = False
            with_retries(self._ensure_bucket)
            with_retries(write)

    def put_once(
        self, data: bytes, *, sha256: str, recheck: bool = False, sending: Callable[[int], None] | None = None
    ) -> str:
        """Write an object named by its hash unless it exists, and return its key.

        Parameters
        ----------
        recheck
            Check again even if this process wrote it, because a sandbox could not find it.
        sending
            Told the number of bytes before sending, if they must be sent.
        """
        key = f"{JOB_PREFIX}objects/{sha256}"
        if (recheck or key not in self._present) and not self._is_intact(key, sha256):
            if sending is not None:
                sending(len(data))
            self._put(lambda: self._write(key, data, sha256=sha256))
        self._present.add(key)
        return key

    def put_new(self, key: str, data: bytes) -> None:
        """Write an object unless it exists; the first writer wins.

        Raises
        ------
        AwsError
            The call is not permitted, or the bucket is unavailable.
        """
        try:
            self._put(lambda: self._write(key, data, IfNoneMatch="*"))
        except AwsError as error:
            if error.code not in _EXISTS:
                raise

    def prepare_cache(self) -> None:
        """Set up expiration of cached values.

        Raises
        ------
        AwsError
            A call is not permitted.
        """
        with_retries(lambda: ensure_cache(self._cloud, self._settings))

    def get(self, key: str, *, sha256: str | None = None, size: int | None = None) -> bytes:
        """Return an object, verified as far as its hash or size is known.

        Raises
        ------
        AwsError
            It does not exist (`NoSuchKey`), is not what was written (`TAMPERED`), or the call is not permitted.
        """
        data = with_retries(lambda: self._read(key, size))
        wrong_size = size is not None and len(data) != size
        if wrong_size or (sha256 is not None and hashlib.sha256(data).hexdigest() != sha256):
            raise AwsError(
                f"s3://{self.bucket}/{key} is not what was written there: it was not unpickled. "
                "Find out who can write to the bucket, then run it again.",
                code=TAMPERED,
            )
        return data

    def _read(self, key: str, size: int | None) -> bytes:
        """Download an object; botocore leaves connections that break within the body to its caller."""
        with aws_errors():
            return self._read_once(key, size)

    def _read_once(self, key: str, size: int | None) -> bytes:
        from botocore.exceptions import IncompleteReadError

        answer = self._s3.get_object(**self._owned, Key=key)
        # S3 always sends it; if it is missing, even the headers were truncated.
        length = answer.get("ContentLength", -1)
        # Read no more than expected, however large the object is.
        expected = length if size is None else min(length, size + 1)
        body = answer["Body"]
        with body:
            data = body.read(max(0, expected))
        if len(data) != expected:
            raise IncompleteReadError(actual_bytes=len(data), expected_bytes=expected)
        return data

    def exists(self, key: str) -> bool:
        """Whether an object exists.

        Raises
        ------
        AwsError
            The call is not permitted.
        """
        return self._head(key) is not None

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with `prefix`, in S3's order.

        Raises
        ------
        AwsError
            The call is not permitted.
        """
        yield from (found.key for found in self.find(prefix))

    def find(self, prefix: str) -> Iterator[Found]:
        """Yield the objects whose keys begin with `prefix`, in S3's order.

        Raises
        ------
        AwsError
            The call is not permitted.
        """
        with aws_errors():
            for page in self._s3.get_paginator("list_objects_v2").paginate(**self._owned, Prefix=prefix):
                for entry in page.get("Contents", ()):
                    yield Found(entry["Key"], entry["Size"], entry["LastModified"].timestamp())

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key begins with `prefix`, and return their number.

        Raises
        ------
        AwsError
            A call is not permitted.
        """
        keys = [*self.list(prefix)]
        for start in range(0, len(keys), _DELETE_BATCH):
            batch = keys[start : start + _DELETE_BATCH]
            with aws_errors():
                answer = self._s3.delete_objects(
                    **self._owned, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                )
            if errors := answer.get("Errors"):
                raise AwsError(f"DeleteObjects: {errors[0].get('Message', '')}", code=errors[0].get("Code", ""))
        return len(keys)

    def _ensure_bucket(self, notify: Notify = silent) -> None:
        # Held for as long as it takes: other threads must not write before the bucket exists, nor create it, too.
        with self._lock:
            if not self._ensured:
                ensure_bucket(self._cloud, self._settings, notify, account=self.owner)
                self._ensured = True

    def _write(self, key: str, data: bytes, *, sha256: str = "", **conditions: Any) -> None:
        checksum = base64.b64encode(bytes.fromhex(sha256) or hashlib.sha256(data).digest()).decode()
        with aws_errors():
            self._s3.put_object(**self._owned, Key=key, Body=data, ChecksumSHA256=checksum, **conditions)

    def _is_intact(self, key: str, sha256: str) -> bool:
        """Whether the object exists, matches its hash and will not expire soon."""
        # Without permission to check, write it again, which costs only time.
        with suppress(AwsError):
            head = self._head(key)
            expected = base64.b64encode(bytes.fromhex(sha256)).decode()
            return (
                head is not None
                # S3 verified this checksum when the object was written; a key alone proves nothing about the contents.
                and head.get("ChecksumSHA256") == expected
                and datetime.now(UTC) - head["LastModified"] < FRESH
            )
        return False

    def _head(self, key: str) -> HeadObjectOutputTypeDef | None:
        try:
            with aws_errors():
                return self._s3.head_object(**self._owned, Key=key, ChecksumMode="ENABLED")
        except AwsError as error:
            if error.code in _NOT_FOUND:
                return None
            raise
