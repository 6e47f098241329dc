"""Reads ranges from S3 and web servers: only the listed version of an object, with clear errors."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from . import refusals

TRIES = 5
CHANGED = "changed after it was listed, and none of it was used: rerun the job"

connections: dict[str, Callable[[], Any]] = {}
"""Makers of clients by bucket, used in the notebook instead of the sandbox's own credentials."""
_clients: dict[int, Any] = {}
_lock = threading.Lock()


def client(bucket: str) -> Any:
    """Return an S3 client, one per process and shared by its threads."""
    # In the notebook, with the account of the job's settings, which need not be boto3's default.
    if bucket in connections:
        return connections[bucket]()
    with _lock:
        # A forked process must not use its parent's connections.
        if os.getpid() not in _clients:
            import boto3
            from botocore.config import Config

            config = Config(
                connect_timeout=10,
                read_timeout=60,
                max_pool_connections=32,
                # Few, because `_patiently` retries whole reads, including bodies that break off.
                retries={"mode": "standard", "total_max_attempts": 2},
            )
            _clients[os.getpid()] = boto3.session.Session().client("s3", config=config)
        return _clients[os.getpid()]


def read_s3(bucket: str, key: str, low: int, high: int, size: int, etag: str, options: dict[str, str]) -> bytes:
    """Return a range of the version of an object with this `etag`.

    Raises
    ------
    PermissionError
        The role may not read it.
    FileNotFoundError
        It no longer exists.
    OSError
        It has changed, or S3 cannot be reached.
    """
    where = {"Range": f"bytes={low}-{high - 1}"} if size else {}

    def once() -> bytes:
        # With IfMatch, an object that changed since it was listed is an error and not a mixture of two versions.
        answer = client(bucket).get_object(Bucket=bucket, Key=key, IfMatch=etag, **where, **options)
        with answer["Body"] as body:
            data: bytes = body.read()
        return data

    return _patiently(once, high - low, f"s3://{bucket}/{key}", bucket)


def read_url(url: str, low: int, high: int, size: int, etag: str) -> bytes:
    """Return a range of a web resource, which must have the same size and `etag` (if any) as when listed.

    Raises
    ------
    OSError
        It has changed, or cannot be read.
    """
    import urllib.request

    whole = (low, high) == (0, size)
    headers = {"User-Agent": "lithops-magic", "Accept-Encoding": "identity"}
    headers |= {} if whole else {"Range": f"bytes={low}-{high - 1}"}

    def once() -> bytes:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            told = answer.headers.get("Content-Range", "").rpartition("/")[2] or answer.headers.get("Content-Length")
            if (etag and answer.headers.get("ETag") != etag) or (size >= 0 and told not in (None, str(size))):
                raise OSError(f"{url} {CHANGED}")
            if not whole and answer.status != 206:
                raise OSError(f"{url}: the server no longer sends ranges: rerun the job without chunk")
            data: bytes = answer.read()
        return data

    return _patiently(once, high - low, url, "")


def _patiently(read: Callable[[], bytes], length: int, name: str, bucket: str) -> bytes:
    """Retry reads that break off."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(min(5.0, 0.2 * 2**attempt))
        try:
            data = read()
        except Exception as error:
            problem = explained(error, name, bucket)
            if problem is not None:
                raise problem from None
            if attempt == TRIES - 1:
                raise OSError(
                    f"{name} could not be read: {type(error).__name__}: {' '.join(str(error).split())}"
                ) from None
            continue
        if len(data) == length or length < 0:
            return data
    raise OSError(f"{name} could not be read: only {len(data):,} of {length:,} bytes arrived")


def explained(error: Exception, name: str, bucket: str, verb: str = "read") -> Exception | None:
    """Return the error to raise instead; None if a retry may succeed."""
    code = refusals.code_of(error) or str(getattr(error, "code", "") or "")
    if code in ("PreconditionFailed", "412", "416", "InvalidRange"):
        return OSError(f"{name} {CHANGED}")
    if bucket and (refused := refusals.refusal(error, name, bucket, verb)):
        kinds = {"NoSuchBucket": FileNotFoundError, **dict.fromkeys(refusals.DENIED, PermissionError)}
        return kinds.get(code, OSError)(refused)
    if code in refusals.DENIED:
        return PermissionError(f"{name}: the server refuses access ({code})")
    if code in ("NoSuchKey", "NoSuchVersion", "404", "410"):
        return FileNotFoundError(f"{name} was deleted after it was listed")
    if code == "InvalidObjectState":
        return OSError(f"{name} is archived (S3 Glacier): restore it before it is read")
    # An error of ours from within the read: those of urllib and sockets are subclasses of OSError.
    if type(error) is OSError and not code:
        return error
    if code and not code.startswith("5") and code not in _TRANSIENT:
        return OSError(f"{name}: {code}: {' '.join(str(error).split())}")
    return None


_TRANSIENT = {"InternalError", "SlowDown", "RequestTimeout", "ServiceUnavailable", "RequestTimeTooSkewed", "429"}
