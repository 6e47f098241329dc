"""Possible outcomes of an Invoke request, and which AWS reply means which."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from lithops_magic.aws import not_aws
from lithops_magic.aws.clock import clock_error
from lithops_magic.aws.explain import ADVICE, PERMISSION, explain, sentence
from lithops_magic.aws.invoke.report import InvocationReport, parse_report


class Reply(NamedTuple):
    """The function ran, or its sandbox tried to run it."""

    payload: bytes
    function_error: str | None
    """Set if the payload describes an error instead of a result."""
    log_tail: str
    """The last 4 KB of the log."""
    request_id: str
    report: InvocationReport | None


@dataclass(frozen=True, slots=True)
class Throttle:
    """Not executed; to be sent again later. Does not count as one of the task's attempts."""

    reason: str
    retry_after: float | None = None
    """Seconds to wait, if AWS says so."""
    fix: str = ""
    """What helps if it persists."""
    most_tries: int | None = None
    """Consecutive throttles that count as a refusal; None: it always clears eventually."""

    @property
    def full(self) -> bool:
        """Whether all available sandboxes are busy, as opposed to too high a request rate."""
        return "ConcurrentInvocationLimitExceeded" in self.reason

    @property
    def of_caller(self) -> bool:
        """Whether it concerns all of the account's requests, not just one function."""
        return self.reason.startswith("CallerRateLimitExceeded")


@dataclass(frozen=True, slots=True)
class Refused:
    """Not executed, and never will be: the configuration or the request is wrong."""

    code: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class NoConnection:
    """Not executed, because no connection could be made. To be sent again, for a limited time."""

    message: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The request was sent, but no reply arrived: the function may have run."""

    message: str


Outcome = Reply | Throttle | Refused | NoConnection | Ambiguous

Done = Callable[[Outcome], object]
"""Receives the outcome of a request; returns False if the reply is not authentic."""

NETWORK = "Look at the function's subnets, security groups (port 2049) and mount targets."
ADDRESSES = "Use larger subnets, or fewer workers at once."
DEPLOY_AGAIN = "Run it again: the function is redeployed."
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
"""Errors that mean "not executed, try later": what helps, and after how many attempts to give up."""

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
    "ResourceNotFoundException": "The function was deleted in the meantime. " + DEPLOY_AGAIN,
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
"""Errors that leave it unknown whether the function ran."""

MAX_PAUSE = 60.0
"""Maximum delay in seconds that a reply can request: a longer one is cut short, an infinite one ignored."""

RESERVED_NOTHING = "Its reserved concurrency is used up; if that is 0, the function never runs."

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
"""Errors that newer credentials may fix."""

CHECKS: Mapping[str, str] = {
    "AWS_IO_DNS": "Check the network, the region and endpoint_url.",
    "AWS_IO_TLS": "Check the network's certificates (AWS_CA_BUNDLE).",
    "AWS_IO_MAX_FDS": "Use fewer workers, or allow this process more open files (ulimit -n).",
    "AWS_ERROR_MAX_FDS": "Use fewer workers, or allow this process more open files (ulimit -n).",
    "AWS_ERROR_HTTP_PROXY": "Check the proxy (HTTPS_PROXY).",
    "": "Check the network and its firewall.",
}
"""What to check, by the prefix of a connection error's name; the empty prefix, which all names have, must be last."""


def classify_response(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Classify a complete reply to Invoke; `headers` have lowercase names."""
    if status in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        return _reply(headers, body)
    details = _json(body)
    code = error_code(headers, details) or str(status)
    message = sentence(str(details.get("message") or details.get("Message") or _phrase(status)))
    if not details and not_aws.is_page(body):
        message = not_aws.describe("The address of AWS Lambda", status, body)
    # Before the tables: a wrong clock shows as an invalid signature, whose advice would be to check the credentials.
    if skew := clock_error(code, headers):
        return Refused("RequestTimeTooSkewed", skew, "")
    # By code before status: AWS reports many permanent errors, such as a KMS key without access, with status 502.
    if code in NEVER:
        return Refused(code, message, NEVER[code])
    if code in NOT_NOW or status == HTTPStatus.TOO_MANY_REQUESTS:
        return _throttled(code, message, str(details.get("Reason") or code), headers.get("retry-after"))
    # A status of 5xx without a known code may come from anything on the way, so the function may have run.
    if code in MAYBE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Ambiguous(f"{code}: {message}")
    return Refused(code, message, ADVICE.get(code, ""))


def has_expired(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether AWS rejected the request because its credentials have expired."""
    return status in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN) and error_code(headers, _json(body)) in EXPIRED


def error_code(headers: Mapping[str, str], details: Mapping[str, object]) -> str:
    """Return AWS's error code; empty if the reply is not AWS's."""
    code = headers.get("x-amzn-errortype") or str(details.get("__type") or details.get("code") or "")
    # Services may put a namespace and "#" before the code, and ":" and a URL after it; botocore removes both, too.
    return code.partition(":")[0].rpartition("#")[2]


def classify_failure(error: BaseException, address: str, *, sent: bool) -> Outcome:
    """Classify a broken connection.

    Parameters
    ----------
    error
        The exception from awscrt.
    address
        Where the connection led, or was to lead.
    sent
        Whether the entire request may have been sent: only then can it have been executed.
    """
    name, text = getattr(error, "name", ""), getattr(error, "message", "") or str(error) or type(error).__name__
    check = next(check for start, check in CHECKS.items() if name.startswith(start))
    if sent:
        return Ambiguous(f"{address} did not answer: {sentence(text)} {check}")
    return NoConnection(f"{address}: {sentence(text)} {check}")


def refusal(error: Exception) -> Refused:
    """Classify an exception raised before sending: for example, without credentials nothing will ever be sent."""
    return Refused(type(error).__name__, str(explain(error)), "")


def _reply(headers: Mapping[str, str], body: bytes) -> Reply:
    log_tail = _log(headers.get("x-amz-log-result", ""))
    return Reply(
        payload=body,
        function_error=headers.get("x-amz-function-error"),
        log_tail=log_tail,
        request_id=headers.get("x-amzn-requestid", ""),
        report=parse_report(log_tail),
    )


def _log(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode("utf-8", "replace")
    except ValueError:
        return ""  # the result matters more


def _json(body: bytes) -> Mapping[str, object]:
    try:
        details = json.loads(body)
    except (ValueError, RecursionError):  # a server that is not AWS can reply anything, even brackets nested deeply
        return {}
    return details if isinstance(details, dict) else {}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "AWS gave no reason"


def _throttled(code: str, message: str, reason: str, retry_after: str | None) -> Throttle:
    fix, most_tries = NOT_NOW.get(code, ("", None))
    if reason.startswith("ReservedFunction"):
        fix = RESERVED_NOTHING
    return Throttle(f"{reason}: {message}", _seconds(retry_after), fix, most_tries)


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return min(max(0.0, seconds), MAX_PAUSE) if math.isfinite(seconds) else None
