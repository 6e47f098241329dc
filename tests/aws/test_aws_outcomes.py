"""Which failure of Invoke means which outcome."""

from __future__ import annotations

import json

import botocore.session
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.invoke.outcomes import (
    MAYBE,
    NEVER,
    NOT_NOW,
    Ambiguous,
    NoConnection,
    Outcome,
    Refused,
    Throttle,
    classify_failure,
    classify_response,
    refusal,
)
from lithops_magic.errors import AwsError, ConfigError, DeployError


def answer(code: str, status: int, headers: dict[str, str] | None = None, **fields: str) -> Outcome:
    """What an answer means that has AWS's shape."""
    body = json.dumps({"Type": "User", "message": "AWS says so", **fields}).encode()
    return classify_response(status, {"x-amzn-errortype": code, **(headers or {})}, body)


def test_every_error_of_awss_model_is_in_exactly_one_table() -> None:
    model = botocore.session.get_session().get_service_model("lambda").operation_model("Invoke")
    tables = (set(NOT_NOW), set(NEVER), set(MAYBE))
    for shape in model.error_shapes:
        assert sum(shape.name in table for table in tables) == 1, shape.name


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [
        ("TooManyRequestsException", 429, Throttle),
        ("ResourceNotReadyException", 502, Throttle),
        ("EFSMountTimeoutException", 408, Throttle),
        ("SomethingNew", 429, Throttle),
        ("ResourceNotFoundException", 404, Refused),
        ("AccessDeniedException", 403, Refused),
        ("ExpiredTokenException", 403, Refused),
        ("InvalidRuntimeException", 502, Refused),
        ("KMSAccessDeniedException", 502, Refused),
        ("ServiceException", 500, Ambiguous),
        ("EFSIOException", 410, Ambiguous),
        ("", 503, Ambiguous),
    ],
)
def test_errors_of_the_service(code: str, status: int, outcome: type) -> None:
    assert type(answer(code, status)) is outcome


def test_a_throttle_tells_reason_and_delay() -> None:
    outcome = answer("TooManyRequestsException", 429, {"retry-after": "2"}, Reason="CallerRateLimitExceeded")
    assert outcome == Throttle(
        "CallerRateLimitExceeded: AWS says so.", 2.0, "Ask AWS for more concurrency, or use fewer workers.", None
    )


def test_reserved_concurrency_has_its_own_advice() -> None:
    outcome = answer("TooManyRequestsException", 429, Reason="ReservedFunctionConcurrentInvocationLimitExceeded")
    assert isinstance(outcome, Throttle)
    assert "reserved concurrency" in outcome.fix


def test_what_cannot_be_mounted_is_hopeless_after_some_tries() -> None:
    outcome = answer("EFSMountConnectivityException", 408)
    assert isinstance(outcome, Throttle)
    assert outcome.most_tries == 5
    assert "2049" in outcome.fix


@pytest.mark.parametrize(
    ("status", "headers", "body", "outcome"),
    [
        (403, {"x-amzn-errortype": "AccessDeniedException:http://internal.amazon.com/coral/"}, b"{}", Refused),
        (404, {}, b'{"__type": "com.amazonaws.lambda#ResourceNotFoundException"}', Refused),
        (429, {"retry-after": "soon"}, b"<html>", Throttle),
        (503, {}, b"", Ambiguous),
        (599, {}, b"[]", Ambiguous),
        (302, {"location": "https://login.example"}, b"<html>Sign in to the network</html>", Refused),
    ],
)
def test_answers_of_odd_shape(status: int, headers: dict[str, str], body: bytes, outcome: type) -> None:
    assert type(classify_response(status, headers, body)) is outcome


def test_a_code_is_found_wherever_aws_puts_it() -> None:
    named = classify_response(403, {"x-amzn-errortype": "AccessDeniedException:http://x/"}, b'{"Message": "User: no"}')
    assert named == Refused("AccessDeniedException", "User: no.", NEVER["AccessDeniedException"])
    nameless = classify_response(404, {}, b'{"__type": "com.amazonaws#ResourceNotFoundException"}')
    assert isinstance(nameless, Refused)
    assert nameless.code == "ResourceNotFoundException"


def test_a_broken_connection_is_ambiguous_only_after_the_request() -> None:
    error = ConnectionResetError("reset")
    assert isinstance(classify_failure(error, "host", sent=True), Ambiguous)
    assert isinstance(classify_failure(error, "host", sent=False), NoConnection)


def test_without_credentials_nothing_will_ever_be_sent() -> None:
    outcome = refusal(NoCredentialsError())
    assert isinstance(outcome, Refused)
    assert "aws configure" in outcome.message


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
