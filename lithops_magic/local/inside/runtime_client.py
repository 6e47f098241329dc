"""Replacement for awslambdaric's native `runtime_client`, which exists for manylinux only."""

# ruff: noqa: ARG001

import http.client
import os

_API = "/2018-06-01/runtime/invocation"
_connection: http.client.HTTPConnection
_agent: dict[str, str]


def initialize_client(user_agent: str) -> None:
    global _connection, _agent
    _agent = {"User-Agent": user_agent}
    # Without a timeout: the next event may come hours later.
    _connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def next() -> tuple[bytes, dict[str, str | int]]:
    """Wait for the next invocation: its event and headers."""
    response, body = _request("GET", "/next", None, {})
    headers: dict[str, str | int] = dict(response.getheaders())
    # The native client returns this one as a number.
    headers["Lambda-Runtime-Deadline-Ms"] = int(headers["Lambda-Runtime-Deadline-Ms"])
    return body, headers


def post_invocation_result(invoke_id: str, result: bytes, content_type: str, invocation_id: str | None = None) -> None:
    _request("POST", f"/{invoke_id}/response", result, {"Content-Type": content_type})


def post_error(invoke_id: str, error: str, xray_fault: str, invocation_id: str | None = None) -> None:
    _request("POST", f"/{invoke_id}/error", error.encode(), {"Content-Type": "application/json"})


def _request(
    method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[http.client.HTTPResponse, bytes]:
    _connection.request(method, _API + path, body, {**_agent, **headers})
    response = _connection.getresponse()
    content = response.read()
    if response.status not in (200, 202):
        raise RuntimeError(f"Request to the Lambda runtime failed with status {response.status}")
    return response, content
