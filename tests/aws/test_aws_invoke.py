"""The transport: many requests at once over real sockets, and every way they fail."""

from __future__ import annotations

import io
import queue
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lithops_magic.aws.deploy.function import DeployedFunction, delete_functions, deploy
from lithops_magic.aws.invoke import sender
from lithops_magic.aws.invoke.sender import Outcome, Refused, Reply, Throttle, open_transport
from lithops_magic.aws.session import Cloud
from lithops_magic.config import Settings

HANDLER = """
import time
def handle(event, context):
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if event.get("raise"):
        raise ValueError("no")
    print("said", event)
    return event
"""


def package(source: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("lithops_magic_worker/handler.py", source)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(namespace="test-invoke", timeout=30, memory=256)


@pytest.fixture
def cloud(local_aws: Any, settings: Settings) -> Cloud:
    return Cloud.connect(settings)


@pytest.fixture
def function(cloud: Cloud, settings: Settings) -> DeployedFunction:
    return deploy(cloud, settings, package(HANDLER))


@pytest.fixture(scope="module", autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    local = request.getfixturevalue("local_aws")
    lambda_ = local.client("lambda")
    for entry in local.functions():
        if entry["FunctionName"].startswith("lithops-magic-test-invoke-"):
            lambda_.delete_function(FunctionName=entry["FunctionName"])


def send_all(transport: sender.Transport, payloads: list[bytes]) -> list[Outcome]:
    outcomes: queue.Queue[tuple[int, Outcome]] = queue.Queue()

    def keep(index: int) -> Callable[[Outcome], None]:
        return lambda outcome: outcomes.put((index, outcome))

    for index, payload in enumerate(payloads):
        transport.send(payload, keep(index))
    return [outcome for _, outcome in sorted((outcomes.get(timeout=120) for _ in payloads), key=lambda pair: pair[0])]


def test_replies_with_log_and_report(cloud: Cloud, function: DeployedFunction) -> None:
    transport = open_transport(cloud, function.name, max_in_flight=3, timeout=function.timeout)
    outcomes = send_all(transport, [b'{"n": %d}' % number for number in range(7)])
    transport.close()
    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, Reply)
        assert outcome.payload == b'{"n": %d}' % number
        assert outcome.function_error is None
        assert f"said {{'n': {number}}}" in outcome.log_tail
        assert outcome.request_id in outcome.log_tail
        assert outcome.report is not None
        assert outcome.report.memory_mb == 256


def test_an_error_of_the_function_is_a_reply(cloud: Cloud, function: DeployedFunction) -> None:
    transport = open_transport(cloud, function.name, max_in_flight=1, timeout=function.timeout)
    (outcome,) = send_all(transport, [b'{"raise": true}'])
    assert isinstance(outcome, Reply)
    assert outcome.function_error == "Unhandled"
    assert b"ValueError" in outcome.payload


def test_refusals(cloud: Cloud, function: DeployedFunction) -> None:
    transport = open_transport(cloud, function.name, max_in_flight=1, timeout=function.timeout)
    too_large, no_json = send_all(transport, [b'"%s"' % (b"x" * (6 * 1024 * 1024)), b"\x80pickle"])
    assert isinstance(too_large, Refused)
    assert "6 MB" in too_large.fix
    assert isinstance(no_json, Refused)
    assert no_json.code == "InvalidRequestContentException"
    (missing,) = send_all(open_transport(cloud, "no-such-function", max_in_flight=1, timeout=1), [b"{}"])
    assert isinstance(missing, Refused)
    assert missing.code == "ResourceNotFoundException"


def test_a_throttle(cloud: Cloud, function: DeployedFunction) -> None:
    client = cloud.client("lambda")
    client.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    try:
        transport = open_transport(cloud, function.name, max_in_flight=1, timeout=function.timeout)
        (outcome,) = send_all(transport, [b"{}"])
    finally:
        client.delete_function_concurrency(FunctionName=function.name)
    assert isinstance(outcome, Throttle)
    assert "reserved concurrency" in outcome.fix


def test_close_abandons_what_is_in_flight_at_once(cloud: Cloud, function: DeployedFunction) -> None:
    transport = open_transport(cloud, function.name, max_in_flight=1, timeout=function.timeout)
    outcomes: queue.Queue[Outcome] = queue.Queue()
    for _ in range(3):
        transport.send(b'{"sleep": 2}', outcomes.put)
    transport.close()
    transport.close()
    transport.send(b"{}", outcomes.put)
    with pytest.raises(queue.Empty):
        outcomes.get(timeout=3)


def test_a_request_in_flight_does_not_keep_the_interpreter() -> None:
    script = """
import socket
from lithops_magic.aws.invoke.sender import open_transport
from lithops_magic.aws.session import Cloud
from lithops_magic.config import Settings
listener = socket.create_server(("127.0.0.1", 0))
listener.settimeout(50)
settings = Settings(local=False, region="us-east-1", execution_role="arn:aws:iam::123456789012:role/r",
    access_key_id="a", secret_access_key="b", endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
open_transport(Cloud.connect(settings), "f", max_in_flight=1, timeout=600).send(b"{}", print)
held = listener.accept()
print("leaving")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "leaving\n"), done.stderr


def test_a_failing_callback_ends_nothing_else(
    cloud: Cloud, function: DeployedFunction, caplog: pytest.LogCaptureFixture
) -> None:
    transport = open_transport(cloud, function.name, max_in_flight=1, timeout=function.timeout)

    def fail(_: Outcome) -> None:
        raise RuntimeError("mine")

    transport.send(b"{}", fail)
    assert isinstance(send_all(transport, [b"{}"])[0], Reply)
    assert "was not handled" in caplog.text


def test_the_accounts_concurrency(cloud: Cloud) -> None:
    limit = cloud.client("lambda").get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    assert sender.concurrency(cloud) == limit > 0


def test_nothing_is_left(cloud: Cloud, settings: Settings, function: DeployedFunction) -> None:
    assert function.name in delete_functions(cloud, settings)
