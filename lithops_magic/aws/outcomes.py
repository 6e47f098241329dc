"""What can become of one Invoke request, and which error of AWS means which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .explain import ADVICE, PERMISSION, explain, sentence
from .report import Report

if TYPE_CHECKING:
    from botocore.exceptions import ClientError


@dataclass(frozen=True, slots=True)
class Reply:
    """The function ran, or its sandbox tried to."""

    payload: bytes
    function_error: str | None
    """Set when the payload describes an error instead of a result."""
    log_tail: str
    """The last 4 KB of the log."""
    request_id: str
    report: Report | None


@dataclass(frozen=True, slots=True)
class Throttled:
    """Not executed; send it again later. Costs the task none of its attempts."""

    reason: str
    retry_after: float | None = None
    """Seconds, where AWS says so."""
    fix: str = ""
    """What would help if it goes on."""
    most_tries: int | None = None
    """After this many in a row it is a refusal; None: it clears by itself."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Not executed, and never will be: the configuration or the request is wrong."""

    code: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Not executed: no connection could be made. Send it again, for a bounded time."""

    message: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The request was sent and no answer came: the function may have run."""

    message: str


Outcome = Reply | Throttled | Refused | Unreachable | Ambiguous

NETWORK = "Look at the function's subnets, security groups (port 2049) and mount targets."
ADDRESSES = "Use larger subnets, or fewer workers at once."
DEPLOY_AGAIN = "Run it again: the function is deployed anew."
KEY = "Give the role access to the KMS key of the account's default encryption."
TOO_LARGE = "Send less per task, or give the items a smaller chunksize: a request holds 6 MB."

NOT_NOW: Mapping[str, tuple[str, int | None]] = {
    "CodeArtifactUserPendingException": ("", None),
    "EC2ThrottledException": ("", None),
    "ENINotReadyException": ("", None),
    "ResourceConflictException": ("", None),
    "ResourceNotReadyException": ("", None),
    "SnapStartNotReadyException": ("", None),
    "SnapStartTimeoutException": ("", 20),
    "ThrottlingException": ("", None),
    "TooManyRequestsException": ("Ask AWS for more concurrency, or use fewer workers.", None),
    "EFSMountConnectivityException": (NETWORK, 5),
    "EFSMountTimeoutException": (NETWORK, 5),
    "S3FilesMountConnectivityException": (NETWORK, 5),
    "S3FilesMountTimeoutException": (NETWORK, 5),
    "ENILimitReachedException": ("Ask AWS for more network interfaces per VPC.", 20),
    "SubnetIPAddressLimitReachedException": (ADDRESSES, 20),
}
"""Errors that mean "not executed, try later": what would help, and after how many tries it is hopeless."""

NEVER: Mapping[str, str] = {
    "AccessDeniedException": PERMISSION,
    "CodeArtifactUserDeletedException": DEPLOY_AGAIN,
    "CodeArtifactUserFailedException": DEPLOY_AGAIN,
    "DurableExecutionAlreadyStartedException": "",
    "EC2AccessDeniedException": "Give the role the policy AWSLambdaVPCAccessExecutionRole.",
    "EC2UnexpectedException": "Look at the function's VPC configuration.",
    "EFSMountFailureException": "Give the role elasticfilesystem:ClientMount and ClientWrite.",
    "InvalidParameterValueException": "",
    "InvalidRequestContentException": "",
    "InvalidRuntimeException": DEPLOY_AGAIN,
    "InvalidSecurityGroupIDException": "Correct security_groups.",
    "InvalidSubnetIDException": "Correct subnets.",
    "InvalidZipFileException": DEPLOY_AGAIN,
    "KMSAccessDeniedException": KEY,
    "KMSDisabledException": "Enable the KMS key.",
    "KMSInvalidStateException": "Look at the KMS key's state.",
    "KMSNotFoundException": "Look for the KMS key in the account's encryption settings.",
    "ModeNotSupportedException": "",
    "NoPublishedVersionException": DEPLOY_AGAIN,
    "RecursiveInvocationException": "A task must not start a job that starts it again.",
    "RequestEntityTooLargeException": TOO_LARGE,
    "RequestTooLargeException": TOO_LARGE,
    "ResourceNotFoundException": "The function was deleted meanwhile. " + DEPLOY_AGAIN,
    "RuntimeAliasDeletedException": DEPLOY_AGAIN,
    "RuntimeVersionDeletedException": DEPLOY_AGAIN,
    "S3FilesMountFailureException": "Give the role s3files:ClientMount and ClientWrite.",
    "SerializedRequestEntityTooLargeException": TOO_LARGE,
    "ServiceQuotaExceededException": "Ask AWS for a larger quota.",
    "SnapStartException": "",
    "SnapStartRegenerationFailureException": "",
    "UnsupportedMediaTypeException": "",
}
"""Errors that mean "not executed, and it never will be": what to do."""

MAYBE = frozenset({"EFSIOException", "ServiceException"})
"""Errors after which nobody knows whether the function ran."""

RESERVED_NOTHING = "Its reserved concurrency is used up; if that is 0 the function never runs."


def classify(error: Exception) -> Outcome:
    """Tell what an exception raised by Invoke means for the task."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return _from_service(error)
    text = str(explain(error))
    unsent = (
        exceptions.EndpointConnectionError,
        exceptions.ConnectTimeoutError,
        exceptions.ProxyConnectionError,
    )
    if isinstance(error, unsent) or (
        isinstance(error, exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
    ):
        return Unreachable(text)
    # ResponseStreamingError and the read errors of urllib3 come while the answer is being read.
    if isinstance(error, exceptions.HTTPClientError | exceptions.IncompleteReadError | OSError):
        return Ambiguous(text)
    return Refused(type(error).__name__, text, "")


def _from_service(error: ClientError) -> Outcome:
    details = error.response.get("Error", {})
    code = str(details.get("Code", ""))
    message = sentence(str(details.get("Message") or code))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in NEVER:
        return Refused(code, message, NEVER[code])
    if code in NOT_NOW or status == 429:
        return _throttled(error, code, message)
    if code in MAYBE or status >= 500:
        return Ambiguous(f"{code}: {message}")
    return Refused(code, message, ADVICE.get(code, ""))


def _throttled(error: ClientError, code: str, message: str) -> Throttled:
    fix, most_tries = NOT_NOW.get(code, ("", None))
    reason = str(error.response.get("Reason") or code)
    if reason.startswith("ReservedFunction"):
        fix = RESERVED_NOTHING
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return Throttled(f"{reason}: {message}", _seconds(headers.get("retry-after")), fix, most_tries)


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
