"""The sandbox's access to the job's bucket: data too large for a request or reply, and stored results."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from json import dumps
from typing import Any

CONNECT_TIMEOUT = 3
"""Seconds: a subnet without a route to S3 drops packets, and with botocore's defaults a task would wait 5 minutes."""
READ_TIMEOUT = 60
TRIES = 3
RETRY_SECONDS = 12.0
"""Seconds that an S3 outage may last, beyond botocore's retries, before the task is rerun."""
_READ_SIZE = 2**20
"""Bytes read at a time; small enough to be still in the CPU's cache when copied."""
RESERVE = 5.0
"""Seconds that must be left before the timeout: storing a result must not cost the result."""
TRANSIENT = (
    "500",
    "502",
    "503",
    "504",
    "BadDigest",
    "InternalError",
    "NoSuchBucket",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "ConnectionClosedError",
    "ConnectionError",
    "EndpointConnectionError",
    "HTTPClientError",
    "IncompleteReadError",
    "ReadTimeoutError",
    "ResponseParserError",
    "ResponseStreamingError",
)
"""Codes of transient errors of S3, gateways and botocore; not connection timeouts, which mean there is no route.
The bucket of an account's first job is created while that runs.
"""

UNREACHABLE = (
    "S3 cannot be reached from the sandbox. In a VPC it needs an S3 gateway endpoint, which is free, or a NAT gateway: "
    "`lithops-magic doctor` checks that"
)
DENIED = "give the execution role s3:GetObject and s3:PutObject on the bucket (`lithops-magic policy` prints them)"
REMEDIES = {
    "AccessDenied": f": {DENIED}",
    "NoSuchBucket": ": it is created with the function; `lithops-magic clean` deletes that, then run it again",
    "NoSuchKey": "",
}
"""What to do about S3's errors for missing or forbidden objects and buckets."""

_SETTINGS = {
    "region_name": ("AWS_REGION",),
    "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
    "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "aws_session_token": ("AWS_SESSION_TOKEN",),
    "endpoint_url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
}
_clients: dict[tuple[str | None, ...], Any] = {}
_session: list[Any] = []
"""Reused for all clients: loading its service model takes a quarter of a second."""


class StoreError(Exception):
    """An object that a task needs could not be read.

    Parameters
    ----------
    status
        ``tampered``: it is not what was written; ``absent``: it is missing, or the sandbox may not see it;
        ``store``: S3 cannot be used at all.
    """

    def __init__(self, status: str, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.transient = transient
        """Whether a retry may succeed."""


class Store:
    """A job's part of its bucket.

    Parameters
    ----------
    place
        As in the request: bucket, owner, prefix, and the task seconds from which a result is stored.
    key
        Signs stored results; without it, none is stored.
    left
        Returns the seconds left before the timeout.
    """

    def __init__(
        self,
        location: dict[str, Any],
        key: bytes = b"",
        left: Callable[[], float] = lambda: RESERVE + RETRY_SECONDS,
    ) -> None:
        self._left = left
        self._bucket = {"Bucket": location["bucket"], "ExpectedBucketOwner": location["owner"]}
        self._prefix: str = location["prefix"]
        self._after: float = location.get("after", 0.0)
        self._runs: int = location.get("runs", 0)
        self._rerun: list[str] = location.get("again", [])
        self._key = key
        # The function's own credentials, before a task's environment variables hide them.
        self._settings = {name: _variable(*variables) for name, variables in _SETTINGS.items()}

    @property
    def detached(self) -> bool:
        """Whether the invocation is asynchronous, so that results exist only in the store."""
        return self._runs > 0

    def get(self, reference: dict[str, Any], what: str) -> bytearray:
        """Return the object behind `reference`, verified.

        Raises
        ------
        StoreError
            It is missing, not what was written, or S3 does not answer.
        """
        key, size = reference["object"], reference["size"]
        try:
            data: bytearray = self._with_retries(lambda: self._read(key, size))
        except Exception as error:
            raise self._explained(
                error, f"the {what} could not be fetched from s3://{self._bucket['Bucket']}/{key}"
            ) from None
        if len(data) != size or digest(data) != reference["sha256"]:
            raise StoreError(
                "tampered",
                f"the {what} in s3://{self._bucket['Bucket']}/{key} is not what the notebook wrote there: it was not "
                "unpickled. Find out who can write to the bucket, then run it again",
            )
        return data

    def put(self, task: int, data: bytes) -> dict[str, Any]:
        """Store a task's value and return the reference to it.

        Raises
        ------
        StoreError
            S3 refuses it.
        """
        sha256 = digest(data)
        key = f"{self._prefix}value-{task}-{sha256[:16]}"
        try:
            checked = {"Key": key, "Body": data, "ChecksumSHA256": _checksum(sha256)}
            self._with_retries(lambda: self._client().put_object(**self._bucket, **checked))
        except Exception as error:
            raise self._explained(error, f"it could not be written to s3://{self._bucket['Bucket']}/{key}") from None
        return {"object": key, "sha256": sha256, "size": len(data)}

    def stores(self, seconds: float) -> bool:
        """Whether to store the result of a task that took `seconds`."""
        return bool(self._key) and seconds >= self._after

    def save(self, task: int, outcome: dict[str, Any]) -> bool:
        """Store an outcome unless another run of the task already has; False if it is to be rerun, or S3 refuses."""
        if outcome["status"] in self._rerun:
            return False
        import hmac

        body = dumps(outcome).encode()
        signed = hmac.digest(self._key, body, "sha256") + body
        try:
            # The first writer wins: another run of this task, after a lost connection, may have stored its result
            # already.
            self._client().put_object(**self._bucket, Key=f"{self._prefix}{task}", Body=signed, IfNoneMatch="*")
        except Exception as error:
            return _code(error) in ("PreconditionFailed", "412")
        return True

    def claim(self, name: str) -> bool:
        """Write an empty object unless it exists; return whether it is new.

        Raises
        ------
        StoreError
            S3 refuses it.
        """
        try:
            self._client().put_object(**self._bucket, Key=self._prefix + name, Body=b"", IfNoneMatch="*")
        except Exception as error:
            if _code(error) in ("PreconditionFailed", "412", "ConditionalRequestConflict", "409"):
                return False
            raise self._explained(error, f"{name} could not be written") from None
        return True

    def has(self, name: str) -> bool:
        """Whether the object exists, as far as the sandbox may see."""
        try:
            self._client().head_object(**self._bucket, Key=self._prefix + name)
        except Exception:
            return False
        return True

    def _read(self, key: str, size: int) -> bytearray:
        answer = self._client().get_object(**self._bucket, Key=key)
        data = bytearray()
        # Up to one byte more than expected, so that `get` notices an object that is longer.
        while part := answer["Body"].read(min(_READ_SIZE, size + 1 - len(data))):
            data += part
        if len(data) < min(size, answer.get("ContentLength", size)):
            # Truncated in transit, not tampered with: worth a retry.
            raise ConnectionError("the object did not arrive as a whole")
        return data

    def _with_retries(self, call: Callable[[], Any]) -> Any:
        """Retry transient failures, as long as there is time."""
        deadline, pause = time.monotonic() + RETRY_SECONDS, 0.25
        while True:
            try:
                return call()
            except Exception as error:
                if not _transient(error) or time.monotonic() > deadline or self._left() < RESERVE + pause:
                    raise
            time.sleep(pause)
            pause = min(3.0, pause * 2)

    def _client(self) -> Any:
        key = tuple(self._settings.values())
        if key not in _clients:
            import boto3  # takes a third of a second, so only if needed
            from botocore.config import Config

            config = Config(
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": TRIES},
            )
            if not _session:
                _session.append(boto3.session.Session())
                # We verify everything ourselves; older versions do not know the option.
                _session[0]._session.set_config_variable("response_checksum_validation", "when_required")
            _clients[key] = _session[0].client("s3", config=config, **self._settings)
        return _clients[key]

    def _explained(self, error: Exception, what: str) -> StoreError:
        code = _code(error)
        # Without s3:ListBucket, S3 answers AccessDenied for a missing object, too.
        if code in REMEDIES:
            return StoreError("absent", f"{what}: {code}{REMEDIES[code]}")
        if type(error).__name__ in ("ConnectTimeoutError", "EndpointConnectionError"):
            return StoreError("store", f"{what}: {UNREACHABLE}")
        text = f"{what}: {code or type(error).__name__}: {' '.join(str(error).split())}"
        return StoreError("store", text, transient=_transient(error))


def digest(data: bytes | bytearray) -> str:
    """Return the SHA-256 of `data`, in hexadecimal."""
    import hashlib

    return hashlib.sha256(data).hexdigest()


def forget() -> None:
    """Drop connections: a forked process must not use its parent's."""
    _clients.clear()


def _checksum(sha256: str) -> str:
    import base64

    return base64.b64encode(bytes.fromhex(sha256)).decode()


def _transient(error: Exception) -> bool:
    return isinstance(error, ConnectionError) or _code(error) in TRANSIENT or type(error).__name__ in TRANSIENT


def _variable(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _code(error: Exception) -> str:
    """Return AWS's error code; empty if the error is not AWS's."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
