"""Which failure of Invoke means which outcome."""

from __future__ import annotations

import botocore.session
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.outcomes import MAYBE, NEVER, NOT_NOW, Ambiguous, Refused, Throttled, Unreachable, classify
from lithops_magic.errors import AwsError, ConfigError, DeployError


def service_error(code: str, status: int, **extra: object) -> ClientError:
    response = {
        "Error": {"Code": code, "Message": "AWS says so"},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": extra.pop("headers", {})},
        **extra,
    }
    return ClientError(response, "Invoke")  # type: ignore[arg-type]


def test_every_error_of_awss_model_is_in_exactly_one_table() -> None:
    model = botocore.session.get_session().get_service_model("lambda").operation_model("Invoke")
    tables = (set(NOT_NOW), set(NEVER), set(MAYBE))
    for shape in model.error_shapes:
        assert sum(shape.name in table for table in tables) == 1, shape.name


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [
        ("TooManyRequestsException", 429, Throttled),
        ("ResourceNotReadyException", 502, Throttled),
        ("EFSMountTimeoutException", 408, Throttled),
        ("SomethingNew", 429, Throttled),
        ("ResourceNotFoundException", 404, Refused),
        ("AccessDeniedException", 403, Refused),
        ("ExpiredTokenException", 403, Refused),
        ("InvalidRuntimeException", 502, Refused),
        ("KMSAccessDeniedException", 502, Refused),
        ("ServiceException", 500, Ambiguous),
        ("EFSIOException", 410, Ambiguous),
        ("503", 503, Ambiguous),
    ],
)
def test_errors_of_the_service(code: str, status: int, outcome: type) -> None:
    assert type(classify(service_error(code, status))) is outcome


def test_a_throttle_tells_reason_and_delay() -> None:
    error = service_error(
        "TooManyRequestsException", 429, Reason="CallerRateLimitExceeded", headers={"retry-after": "2"}
    )
    assert classify(error) == Throttled(
        "CallerRateLimitExceeded: AWS says so.", 2.0, "Ask AWS for more concurrency, or use fewer workers.", None
    )


def test_reserved_concurrency_has_its_own_advice() -> None:
    error = service_error("TooManyRequestsException", 429, Reason="ReservedFunctionConcurrentInvocationLimitExceeded")
    outcome = classify(error)
    assert isinstance(outcome, Throttled)
    assert "reserved concurrency" in outcome.fix


def test_what_cannot_be_mounted_is_hopeless_after_some_tries() -> None:
    outcome = classify(service_error("EFSMountConnectivityException", 408))
    assert isinstance(outcome, Throttled)
    assert outcome.most_tries == 5
    assert "2049" in outcome.fix


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (EndpointConnectionError(endpoint_url="https://x"), Unreachable),
        (ConnectTimeoutError(endpoint_url="https://x"), Unreachable),
        (SSLError(endpoint_url="https://x", error="CERTIFICATE_VERIFY_FAILED"), Unreachable),
        (SSLError(endpoint_url="https://x", error="decryption failed"), Ambiguous),
        (ReadTimeoutError(endpoint_url="https://x"), Ambiguous),
        (ConnectionClosedError(endpoint_url="https://x"), Ambiguous),
        (ConnectionResetError("reset"), Ambiguous),
        (NoCredentialsError(), Refused),
        (ValueError("a bug"), Refused),
    ],
)
def test_errors_on_the_way(error: Exception, outcome: type) -> None:
    assert type(classify(error)) is outcome


def test_no_access_key_in_any_text() -> None:
    error = ClientError(
        {"Error": {"Code": "IncompleteSignature", "Message": "Credential=AKIAIOSFODNN7EXAMPLE/2026\nis wrong"}},
        "Invoke",
    )
    with pytest.raises(DeployError) as caught, aws_errors(DeployError):
        raise error
    assert caught.value.code == "IncompleteSignature"
    assert "AKIA" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "clock" in str(caught.value)


def test_what_is_not_configured_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="aws configure"), aws_errors():
        raise NoCredentialsError
    with pytest.raises(AwsError, match="Check the network"), aws_errors():
        raise EndpointConnectionError(endpoint_url="https://x")
