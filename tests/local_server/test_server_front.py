"""Only correctly signed requests from this machine pass the front; the others get the service's own error."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import boto3
import psutil
import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from localaws import LocalAws

CALLS = [("s3", "list_buckets"), ("sts", "get_caller_identity"), ("ec2", "describe_vpcs")]
CALLS += [("logs", "describe_log_groups"), ("lambda", "list_functions"), ("efs", "describe_file_systems")]


def code_of(call: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as failure:
        call()
    response = failure.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def stranger(local_aws: LocalAws, service: str, key: str, secret: str, token: str | None = None) -> Any:
    session = boto3.Session(key, secret, token, region_name=local_aws.region)
    return session.client(service, endpoint_url=local_aws.endpoint_url)


def send(local_aws: LocalAws, method: str, target: str, headers: Any = (), body: bytes = b"") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", local_aws.port, timeout=60)
    connection.request(method, target, body, dict(headers))
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def sign(
    local_aws: LocalAws, service: str, path: str, body: bytes = b"", signer: Any = None, **headers: str
) -> AWSRequest:
    request = AWSRequest("POST", f"{local_aws.endpoint_url}{path}", headers, body)
    keys = Credentials(local_aws.access_key_id, local_aws.secret_access_key)
    (signer or SigV4Auth)(keys, service, local_aws.region).add_auth(request)
    return request


@pytest.fixture
def clock() -> Iterator[Any]:
    """Sets the clock of this process's signer."""
    with mock.patch("botocore.auth.get_current_datetime") as now:

        def turn(**by: float) -> None:
            now.return_value = datetime.now(UTC) + timedelta(**by)

        yield turn


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        (service, operation, code)
        for (service, operation), code in zip(
            CALLS,
            ["InvalidAccessKeyId", "InvalidClientTokenId", "AuthFailure"] + ["UnrecognizedClientException"] * 3,
            strict=True,
        )
    ],
)
def test_an_unknown_access_key_is_refused(local_aws: LocalAws, service: str, operation: str, code: str) -> None:
    client = stranger(local_aws, service, "AKIAUNKNOWN", "secret")
    assert code_of(getattr(client, operation)) == (403, code)
    client.close()


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        (service, operation, code)
        for (service, operation), code in zip(
            CALLS,
            ["SignatureDoesNotMatch", "SignatureDoesNotMatch", "AuthFailure"] + ["InvalidSignatureException"] * 3,
            strict=True,
        )
    ],
)
def test_a_wrong_secret_is_refused(local_aws: LocalAws, service: str, operation: str, code: str) -> None:
    client = stranger(local_aws, service, local_aws.access_key_id, local_aws.secret_access_key[:-1] + "!")
    assert code_of(getattr(client, operation)) == (403, code)
    client.close()


def test_a_session_token_that_was_not_given_out_is_refused(local_aws: LocalAws) -> None:
    client = stranger(local_aws, "sts", local_aws.access_key_id, local_aws.secret_access_key, "token")
    assert code_of(client.get_caller_identity) == (403, "InvalidClientTokenId")
    client.close()


@pytest.mark.parametrize(
    ("method", "target", "headers", "expected"),
    [
        ("GET", "/", {}, "<Code>AccessDenied</Code>"),
        ("PUT", "/bucket/key", {}, "<Code>AccessDenied</Code>"),
        (
            "POST",
            "/",
            {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
            "<Code>MissingAuthenticationToken</Code>",
        ),
        ("POST", "/", {"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}, "MissingAuthenticationTokenException"),
        ("GET", "/2015-03-31/functions/", {}, "MissingAuthenticationTokenException"),
        ("POST", "/moto-api/reset", {}, "<Code>AccessDenied</Code>"),
        ("GET", "/", {"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c"}, "AuthorizationHeaderMalformed"),
        ("GET", "/?X-Amz-Signature=1&X-Amz-Algorithm=none", {}, "AuthorizationHeaderMalformed"),
        ("GET", "/?AWSAccessKeyId=1&Signature=1&Expires=soon", {}, "AuthorizationHeaderMalformed"),
    ],
)
def test_an_unsigned_request_is_refused_in_its_protocol(
    local_aws: LocalAws, method: str, target: str, headers: dict[str, str], expected: str
) -> None:
    status, text = send(local_aws, method, target, headers)
    assert status == 403
    assert expected in text


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_signature_of_another_time_is_refused(local_aws: LocalAws, clock: Any, minutes: int) -> None:
    clock(minutes=minutes)
    request = sign(local_aws, "lambda", "/2015-03-31/functions/f/invocations")
    status, text = send(local_aws, "POST", "/2015-03-31/functions/f/invocations", request.headers)
    assert (status, json.loads(text)["__type"]) == (403, "InvalidSignatureException")
    request = sign(local_aws, "s3", "/b?delete", signer=S3SigV4Auth)
    status, text = send(local_aws, "POST", "/b?delete", request.headers)
    assert status == 403
    assert "<Code>RequestTimeTooSkewed</Code>" in text


def test_a_clock_that_is_a_little_off_is_accepted(local_aws: LocalAws, clock: Any) -> None:
    clock(minutes=-14)
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    request = sign(local_aws, "sts", "/", body, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert send(local_aws, "POST", "/", request.headers, body)[0] == 200


@pytest.mark.parametrize("signer", [S3SigV4QueryAuth, HmacV1QueryAuth])
def test_a_presigned_url_expires(local_aws: LocalAws, clock: Any, signer: Any) -> None:
    keys = Credentials(local_aws.access_key_id, local_aws.secret_access_key)
    clock(minutes=-5)
    for lifetime, expected in ((600, 200), (60, 403)):
        if signer is HmacV1QueryAuth:
            auth = signer(keys, expires=lifetime - 300)
        else:
            auth = signer(keys, "s3", local_aws.region, expires=lifetime)
        request = AWSRequest("GET", f"{local_aws.endpoint_url}/")
        auth.add_auth(request)
        status, text = send(local_aws, "GET", _target(request.url))
        assert (status, "Request has expired" in text) == (expected, expected == 403)


def test_a_presigned_url_may_not_live_for_ever(local_aws: LocalAws) -> None:
    request = AWSRequest("GET", f"{local_aws.endpoint_url}/")
    keys = Credentials(local_aws.access_key_id, local_aws.secret_access_key)
    S3SigV4QueryAuth(keys, "s3", local_aws.region, expires=8 * 24 * 3600).add_auth(request)
    assert send(local_aws, "GET", _target(request.url))[0] == 403


def test_a_presigned_request_to_another_service_works(local_aws: LocalAws) -> None:
    request = AWSRequest("GET", f"{local_aws.endpoint_url}/?Action=GetCallerIdentity&Version=2011-06-15")
    keys = Credentials(local_aws.access_key_id, local_aws.secret_access_key)
    SigV4QueryAuth(keys, "sts", local_aws.region).add_auth(request)
    status, text = send(local_aws, "GET", _target(request.url))
    assert status == 200
    assert local_aws.account_id in text


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_body_that_was_changed_on_the_way_is_refused(local_aws: LocalAws, size: int) -> None:
    request = sign(local_aws, "sts", "/", b"a" * size)
    status, text = send(local_aws, "POST", "/", request.headers, b"b" * size)
    assert (status, "SignatureDoesNotMatch" in text) == (403, True)
    request = sign(local_aws, "s3", "/bucket/key", b"a" * size, S3SigV4Auth)
    status, text = send(local_aws, "POST", "/bucket/key", request.headers, b"b" * size)
    assert (status, "XAmzContentSHA256Mismatch" in text) == (403, True)


def test_a_changed_path_query_or_header_is_refused(local_aws: LocalAws) -> None:
    request = sign(local_aws, "lambda", "/2015-03-31/functions/f/invocations?Qualifier=1", **{"X-Amz-Log-Type": "Tail"})
    path = "/2015-03-31/functions/f/invocations"
    assert send(local_aws, "POST", f"{path}?Qualifier=1", request.headers)[0] != 403
    assert send(local_aws, "POST", f"{path}?Qualifier=2", request.headers)[0] == 403
    assert send(local_aws, "POST", f"{path.replace('f/', 'g/')}?Qualifier=1", request.headers)[0] == 403
    changed = {**dict(request.headers.items()), "X-Amz-Log-Type": "None"}
    assert send(local_aws, "POST", f"{path}?Qualifier=1", changed)[0] == 403


def test_only_the_loopback_address_listens(local_aws: LocalAws) -> None:
    listening = [each.laddr for each in psutil.Process(local_aws.pid).net_connections("tcp") if each.status == "LISTEN"]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    for interface in (address for each in psutil.net_if_addrs().values() for address in each):
        if interface.family == socket.AF_INET and not interface.address.startswith("127."):
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((interface.address, local_aws.port), timeout=5)


def test_health_tells_nothing_but_that_it_lives(local_aws: LocalAws) -> None:
    assert send(local_aws, "GET", "/_local/health") == (200, '{"ok": true}')


@pytest.mark.parametrize("headers", [{}, {"x-local-secret": "guess"}])
@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/_local/requests"), ("GET", "/_local/traffic"), ("POST", "/_local/shutdown")]
)
def test_the_servers_own_pages_need_the_secret(
    local_aws: LocalAws, method: str, target: str, headers: dict[str, str]
) -> None:
    assert send(local_aws, method, target, headers)[0] == 403
    assert psutil.pid_exists(local_aws.pid)


def test_an_unknown_page_of_the_server_is_not_found(local_aws: LocalAws) -> None:
    assert send(local_aws, "GET", "/_local/nothing", {"x-local-secret": local_aws.secret_access_key})[0] == 404


@pytest.mark.parametrize("host", ["[", "[::1", "x]", "[x]"])
def test_a_host_that_is_none_is_a_bad_request(local_aws: LocalAws, host: str) -> None:
    head = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", local_aws.port), timeout=30) as connection:
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 "))


def test_a_lambda_request_beyond_any_limit_is_refused(local_aws: LocalAws) -> None:
    body = bytes(70_167_212)
    request = sign(local_aws, "lambda", "/2015-03-31/functions", body)
    status, text = send(local_aws, "POST", "/2015-03-31/functions", request.headers, body)
    message = "Request must be smaller than 70167211 bytes for the CreateFunction operation"
    assert (status, json.loads(text)) == (413, {"message": message})


def test_no_secret_is_logged(local_aws: LocalAws) -> None:
    logs = list(local_aws.folder.glob("*.log"))
    assert logs
    assert not any(local_aws.secret_access_key in log.read_text() for log in logs)


@pytest.mark.parametrize(
    "headers", [[], [("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAX/20260101/x/s3/aws4_request")]]
)
def test_nobody_unknown_fills_the_server_s_memory(local_aws: LocalAws, headers: list[tuple[str, str]]) -> None:
    server = psutil.Process(local_aws.pid)
    before, piece = server.memory_info().rss, bytes(1 << 20)
    head = "".join(
        f"{name}: {value}\r\n" for name, value in [("Host", "x"), ("Content-Length", str(300 << 20)), *headers]
    )
    with socket.create_connection(("127.0.0.1", local_aws.port), timeout=60) as connection:
        connection.sendall(f"PUT /bucket/key HTTP/1.1\r\n{head}\r\n".encode())
        answer = connection.recv(1000)
        # Whoever goes on all the same is not listened to.
        with contextlib.suppress(OSError):
            for _ in range(300):
                connection.sendall(piece)
    assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
    assert server.memory_info().rss - before < 60 << 20


def test_functions_are_in_one_region(local_aws: LocalAws) -> None:
    session = boto3.Session(local_aws.access_key_id, local_aws.secret_access_key, region_name="eu-west-1")
    elsewhere = session.client("lambda", endpoint_url=local_aws.endpoint_url)
    with pytest.raises(ClientError, match="has Lambda in us-east-1 only, but the request is signed for eu-west-1"):
        elsewhere.list_functions()
