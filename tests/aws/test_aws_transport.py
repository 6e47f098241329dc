"""The hot path over real sockets: every way a connection fails, proxies, TLS, credentials that expire, and no leak."""

from __future__ import annotations

import asyncio
import ctypes
import datetime
import gc
import os
import queue
import re
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials

from faulty_server import OK, Connection, make_authority, serving, tunnel
from lithops_magic.aws.invoke import connect, kept_connections, sender, transport
from lithops_magic.aws.invoke.request import Exchange
from lithops_magic.aws.invoke.sender import (
    Ambiguous,
    NoConnection,
    Outcome,
    Refused,
    Reply,
    Throttle,
    open_transport,
)
from lithops_magic.aws.session import Cloud
from ports import reserved_port
from waiting import eventually

PATH = b"/2015-03-31/functions/function/invocations"


def cloud_at(url: str | None, session: boto3.Session | None = None, region: str = "us-east-1") -> Cloud:
    return Cloud(session or boto3.Session("AKIAEXAMPLE", "secret", region_name=region), region=region, endpoint_url=url)


@contextmanager
def opened(cloud: Cloud, most: int = 1, timeout: float = 20) -> Iterator[sender.Transport]:
    transport = open_transport(cloud, "function", max_in_flight=most, timeout=timeout)
    try:
        yield transport
    finally:
        transport.close()


def send_all(transport: sender.Transport, payloads: list[bytes]) -> list[Outcome]:
    outcomes: queue.Queue[Outcome] = queue.Queue()
    for payload in payloads:
        transport.send(payload, outcomes.put)
    return [outcomes.get(timeout=120) for _ in payloads]


def outcome_at(url: str, payload: bytes = b"{}", timeout: float = 20) -> Outcome:
    with opened(cloud_at(url), timeout=timeout) as transport:
        return send_all(transport, [payload])[0]


async def well(connection: Connection) -> None:
    while True:
        await connection.request()
        await connection.answer(OK)


def answering(data: bytes) -> Callable[[Connection], Any]:
    async def serve(connection: Connection) -> None:
        await connection.request()
        await connection.answer(data)

    return serve


def alive_within(port: int) -> list[float]:
    """Seconds until the kernel probes each of our connections to that port; none of one that it will not probe."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    timers = [row[5].split(":") for row in rows if int(row[2].split(":")[1], 16) == port]
    return [int(jiffies, 16) / os.sysconf("SC_CLK_TCK") for kind, jiffies in timers if kind == "02"]


def is_probed(port: int) -> bool:
    return [0 < seconds <= 60 for seconds in alive_within(port)] == [True]


def probing_intervals(port: int) -> list[int]:
    """Seconds between the probes on each of our connections to that port."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        # It may be no socket, not connected, or closed since.
        with suppress(OSError), socket.socket(fileno=int(link.name)) as ours:
            try:
                if ours.getpeername() == ("127.0.0.1", port):
                    found.append(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL))
            finally:
                ours.detach()
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the timers of sockets")
def test_a_silent_connection_is_probed_before_a_router_forgets_it() -> None:
    done = threading.Event()

    async def slow(connection: Connection) -> None:
        await connection.request()
        await asyncio.to_thread(done.wait, 60)
        await connection.answer(OK)
        await connection.reader.read()

    outcomes: queue.Queue[Outcome] = queue.Queue()
    with serving(slow) as server, opened(cloud_at(f"http://127.0.0.1:{server.port}")) as transport:
        transport.send(b"{}", outcomes.put)
        # Once what was sent is acknowledged, no other timer runs.
        assert eventually(lambda: bool(server.requests) and is_probed(server.port))
        done.set()
        assert isinstance(outcomes.get(timeout=120), Reply)
        assert eventually(lambda: is_probed(server.port))
        assert 0 < probing_intervals(server.port)[0] <= 60


def test_connections_are_kept_and_never_more_than_allowed() -> None:
    with serving(well) as server, opened(cloud_at(f"http://127.0.0.1:{server.port}"), most=3) as transport:
        for _ in range(5):
            assert all(isinstance(outcome, Reply) for outcome in send_all(transport, [b"{}"] * 20))
        assert server.connections == 3
        assert len(server.requests) == 100


def test_a_connection_is_not_lost_if_another_thread_takes_the_last_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(well) as server, opened(cloud_at(f"http://127.0.0.1:{server.port}")) as opened_transport:
        send_all(opened_transport, [b"{}"])
        assert eventually(lambda: idle(opened_transport) == 1)
        assert isinstance(opened_transport, transport.CrtTransport)
        taken: list[Exchange] = []

        def ready() -> bool:
            taken.append(opened_transport._waiting.popleft())
            return True

        with monkeypatch.context() as patch:
            patch.setattr(opened_transport._signer, "ready", ready)
            opened_transport.send(b"{}", lambda _: None)
        assert len(taken) == 1
        assert isinstance(send_all(opened_transport, [b"{}"])[0], Reply)


# Connections that are kept for the next job


@pytest.fixture
def kept_long(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Connections are kept for longer than any machine is busy."""
    monkeypatch.setattr(kept_connections, "SECONDS", 30.0)
    yield
    for target in list(kept_connections._kept):
        if kept := kept_connections.take(target, 0):
            kept.close()


def idle(transport: sender.Transport) -> int:
    """Connections without a request; one is given back just after its outcome was reported."""
    return len(transport._idle)  # type: ignore[attr-defined]


def test_kept_connections_are_closed_if_nobody_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # Before those that keep connections for long: the thread that closes them sleeps for as long.
    monkeypatch.setattr(kept_connections, "SECONDS", 0.01)
    with serving(well) as server:
        with opened(cloud_at(f"http://127.0.0.1:{server.port}"), most=3) as transport:
            send_all(transport, [b"{}"] * 6)
            assert eventually(lambda: idle(transport) == 3)
        assert eventually(lambda: server.open == 0)
        assert eventually(lambda: not any(each.name == "lithops-magic-connections" for each in threading.enumerate()))


@pytest.mark.usefixtures("kept_long")
def test_the_next_job_takes_over_the_connections_it_may_have() -> None:
    async def once_there_are_three(connection: Connection) -> None:
        while True:
            await connection.request()
            while server.connections < 3:
                await asyncio.sleep(0.01)
            await connection.answer(OK)

    with serving(once_there_are_three) as server:
        cloud = cloud_at(f"http://127.0.0.1:{server.port}")
        with opened(cloud, most=3) as first:
            send_all(first, [b"{}"] * 20)
            assert eventually(lambda: idle(first) == 3)
        assert server.connections == server.open == 3
        other = open_transport(cloud, "another", max_in_flight=2, timeout=20)
        assert eventually(lambda: server.open == 2)
        assert idle(other) == 2
        assert all(isinstance(outcome, Reply) for outcome in send_all(other, [b"{}"] * 20))
        with opened(cloud, most=3) as beside:  # none are left for it
            send_all(beside, [b"{}"])
        other.close()
        assert server.connections == 4


@pytest.mark.usefixtures("kept_long")
def test_a_connection_that_was_closed_in_the_meantime_is_not_used() -> None:
    closing = threading.Event()

    async def once(connection: Connection) -> None:
        await connection.request()
        await connection.answer(OK)
        await asyncio.to_thread(closing.wait, 60)

    with serving(once) as server:
        cloud = cloud_at(f"http://127.0.0.1:{server.port}")
        with opened(cloud) as first:
            send_all(first, [b"{}"])
            assert eventually(lambda: idle(first) == 1)
        (kept,) = [each for each in kept_connections._kept.values() if each.idle[0].port == server.port]
        closing.set()
        assert eventually(lambda: not kept.idle[0].is_open())
        with opened(cloud) as second:
            assert [type(outcome) for outcome in send_all(second, [b"{}"])] == [Reply]
        assert server.connections == 2


@pytest.mark.usefixtures("kept_long")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forked processes")
def test_a_forked_process_opens_its_own_connections() -> None:
    with serving(well) as server:
        cloud = cloud_at(f"http://127.0.0.1:{server.port}")
        with opened(cloud) as transport:
            send_all(transport, [b"{}"])
            assert eventually(lambda: idle(transport) == 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            with suppress(BaseException):
                os._exit(kept_connections.take(transport._target, 1) is not None)  # type: ignore[attr-defined]
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert kept_connections.take(transport._target, 1) is not None  # type: ignore[attr-defined]


def test_a_request_is_what_aws_expects() -> None:
    with serving(well) as server, opened(cloud_at(f"http://127.0.0.1:{server.port}/base")) as transport:
        (outcome,) = send_all(transport, [b'{"a": 1}'])
        head = server.requests[0].decode()
    assert isinstance(outcome, Reply)
    assert (outcome.payload, outcome.request_id, outcome.function_error, outcome.report) == (b"{}", "r1", None, None)
    assert head.startswith("POST /base" + PATH.decode() + " HTTP/1.1\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    assert re.match(
        r"aws4-hmac-sha256 credential=akiaexample/\d{8}/us-east-1/lambda/aws4_request", headers["authorization"]
    )
    assert headers["x-amz-log-type"] == "tail"
    assert headers["host"] == f"127.0.0.1:{server.port}"
    assert "lithops-magic" in headers["user-agent"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nx-amzn-ErrorType: ServiceException\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["hangs up", "half a head", "half a body", "half the chunks", "no HTTP", "503", "500"],
)
def test_a_sent_request_without_answer_is_ambiguous(data: bytes) -> None:
    with serving(answering(data)) as server:
        outcome = outcome_at(f"http://127.0.0.1:{server.port}")
        assert isinstance(outcome, Ambiguous)
        assert len(server.requests) == 1


def test_a_reset_after_the_request_is_ambiguous() -> None:
    async def serve(connection: Connection) -> None:
        await connection.request()
        connection.reset()

    with serving(serve) as server:
        assert isinstance(outcome_at(f"http://127.0.0.1:{server.port}"), Ambiguous)
        assert len(server.requests) == 1


def test_a_reset_amid_the_request_was_not_executed() -> None:
    async def serve(connection: Connection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        connection.reset()

    with serving(serve) as server:
        # More than the buffers of two sockets hold: it cannot have left as a whole.
        assert isinstance(outcome_at(f"http://127.0.0.1:{server.port}", b"x" * 60_000_000), NoConnection)
        assert server.connections == 2


def test_silence_has_a_limit_and_frees_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "ANSWER_MARGIN", 1.8)

    async def serve(connection: Connection) -> None:
        await connection.request()
        if len(connection.requests) == 1:
            await asyncio.sleep(60)
        await connection.answer(OK)

    with serving(serve) as server, opened(cloud_at(f"http://127.0.0.1:{server.port}"), timeout=0.2) as transport:
        silent, answered = send_all(transport, [b"{}", b"{}"])
        assert isinstance(silent, Ambiguous)
        assert "no answer within" in silent.message
        assert isinstance(answered, Reply)


def test_a_slow_drip_is_no_error() -> None:
    async def serve(connection: Connection) -> None:
        await connection.request()
        for byte in OK:
            await connection.answer(bytes([byte]))
            await asyncio.sleep(0.002)

    with serving(serve) as server:
        outcome = outcome_at(f"http://127.0.0.1:{server.port}")
        assert isinstance(outcome, Reply)
        assert outcome.payload == b"{}"


def test_a_connection_the_server_closed_is_not_used_again() -> None:
    with serving(answering(OK)) as server, opened(cloud_at(f"http://127.0.0.1:{server.port}")) as transport:
        for _ in range(3):
            assert isinstance(send_all(transport, [b"{}"])[0], Reply)
            assert eventually(lambda: server.open == 0)
            time.sleep(0.1)
        assert server.connections == 3


def test_a_throttle_tells_its_delay() -> None:
    data = (
        b"HTTP/1.1 429 Too Many\r\nx-amzn-ErrorType: TooManyRequestsException\r\nRetry-After: 3\r\n"
        b'Content-Length: 46\r\n\r\n{"Reason":"CallerRateLimitExceeded","message":'
    )
    data = data.replace(b"Content-Length: 46", b"Content-Length: 56") + b'"slowly."}'
    with serving(answering(data)) as server:
        outcome = outcome_at(f"http://127.0.0.1:{server.port}")
    assert isinstance(outcome, Throttle)
    assert (outcome.reason, outcome.retry_after) == ("CallerRateLimitExceeded: slowly.", 3.0)


def test_where_nobody_listens_nothing_was_executed() -> None:
    with reserved_port() as port, opened(cloud_at(f"http://127.0.0.1:{port}"), most=4) as transport:
        for outcome in send_all(transport, [b"{}"] * 8):
            assert isinstance(outcome, NoConnection)
            assert "refused" in outcome.message
            assert "Check the network" in outcome.message


def test_an_unknown_host_is_named() -> None:
    outcome = outcome_at("http://lambda.nowhere.invalid")
    assert isinstance(outcome, NoConnection)
    assert "lambda.nowhere.invalid" in outcome.message
    assert "endpoint_url" in outcome.message


def test_tls_trusts_the_authorities_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = make_authority(tmp_path)
    with serving(well, context) as server:
        for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            with monkeypatch.context() as environment:
                environment.setenv(variable, str(authority))
                assert isinstance(outcome_at(f"https://127.0.0.1:{server.port}"), Reply)


def test_tls_refuses_unknown_authorities_and_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = make_authority(tmp_path)
    outcomes: queue.Queue[Outcome] = queue.Queue()
    with serving(well, context) as server, opened(cloud_at(f"https://127.0.0.1:{server.port}")) as unknown:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
        with opened(cloud_at(f"https://localhost:{server.port}")) as misnamed:
            # At the same time, because awscrt takes up to 30 seconds to report either.
            unknown.send(b"{}", outcomes.put)
            misnamed.send(b"{}", outcomes.put)
            for outcome in (outcomes.get(timeout=120), outcomes.get(timeout=120)):
                assert isinstance(outcome, NoConnection)
                assert "AWS_CA_BUNDLE" in outcome.message
        assert not server.requests


def test_https_goes_through_the_proxy_unless_excepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = make_authority(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
    with serving(well, context) as server, serving(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        assert isinstance(outcome_at(f"https://127.0.0.1:{server.port}"), Reply)
        assert proxy.requests[0].startswith(f"CONNECT 127.0.0.1:{server.port} ".encode())
        assert b"Basic dXNlcjpwQHNz" in proxy.requests[0]
        assert PATH not in proxy.requests[0]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert isinstance(outcome_at(f"https://127.0.0.1:{server.port}"), Reply)
        assert proxy.connections == 1


def test_http_is_forwarded_by_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(well) as server, serving(tunnel) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        assert isinstance(outcome_at(f"http://127.0.0.1:{server.port}"), Reply)
        assert proxy.requests[0].startswith(f"POST http://127.0.0.1:{server.port}/".encode())


def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(connection: Connection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.answer(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with serving(refuse) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        outcome = outcome_at("https://lambda.nowhere.invalid")
        assert isinstance(outcome, NoConnection)
        assert "proxy" in outcome.message


def test_a_silent_proxy_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "OPENING_SECONDS", 0.4)

    async def silent(connection: Connection) -> None:
        await connection.reader.read()

    with serving(silent) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        outcome = outcome_at("https://lambda.nowhere.invalid")
        assert isinstance(outcome, NoConnection)
        assert "no connection within" in outcome.message


@pytest.mark.parametrize(
    ("region", "settings", "host"),
    [
        ("eu-west-1", {}, "lambda.eu-west-1.amazonaws.com"),
        ("cn-north-1", {}, "lambda.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", {"AWS_USE_FIPS_ENDPOINT": "true"}, "lambda-fips.us-gov-west-1.amazonaws.com"),
        ("us-east-1", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "lambda.us-east-1.api.aws"),
        (
            "us-east-1",
            {"AWS_ENDPOINT_URL_LAMBDA": "https://vpce-1.lambda.vpce.amazonaws.com"},
            "vpce-1.lambda.vpce.amazonaws.com",
        ),
    ],
)
def test_the_endpoint_is_botocores(
    region: str, settings: dict[str, str], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    target = connect.InvokeTarget.resolve(cloud_at(None, region=region), "f")
    assert (target.host, target.port, target.secure) == (host, 443, True)
    assert (target.region, target.service) == (region, "lambda")


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA"])
def test_an_endpoint_of_the_environment_is_where_requests_go(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(well) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.port}")
        with opened(cloud_at(None)) as transport:
            assert isinstance(send_all(transport, [b"{}"])[0], Reply)
        assert server.requests[0].startswith(b"POST " + PATH)


def refreshing(keys: list[str]) -> boto3.Session:
    """A session whose credentials expire in an hour; each renewal takes the next of `keys`, an error after the last."""

    def metadata(key: str) -> dict[str, str]:
        expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        return {"access_key": key, "secret_key": "s", "token": f"token-{key}", "expiry_time": expiry.isoformat()}

    def renew() -> dict[str, str]:
        if not keys:
            raise RuntimeError("the identity provider is down")
        return metadata(keys.pop(0))

    core = botocore.session.Session()
    core._credentials = RefreshableCredentials.create_from_metadata(metadata("OLD"), renew, "test")  # type: ignore[attr-defined]
    return boto3.Session(botocore_session=core, region_name="us-east-1")


def let_expire_within(session: boto3.Session, seconds: float) -> None:
    """Let its credentials expire soon, and wait for the next second, in which they are looked at again."""
    now = datetime.datetime.now(datetime.UTC)
    session._session._credentials._expiry_time = now + datetime.timedelta(seconds=seconds)  # type: ignore[attr-defined]
    time.sleep(1.1)


def test_credentials_are_renewed_before_they_expire() -> None:
    keys: list[str] = []
    session = refreshing(keys)
    with serving(well) as server, opened(cloud_at(f"http://127.0.0.1:{server.port}", session)) as transport:
        assert isinstance(send_all(transport, [b"{}"])[0], Reply)
        assert b"Credential=OLD/" in server.requests[-1]
        assert b"token-OLD" in server.requests[-1]
        keys.append("NEW")
        # botocore renews what expires within 15 minutes.
        let_expire_within(session, 899)
        assert isinstance(send_all(transport, [b"{}"])[0], Reply)
        assert b"Credential=NEW/" in server.requests[-1]
        assert b"token-NEW" in server.requests[-1]


async def only_new(connection: Connection) -> None:
    """Accept no other credentials than the key NEW."""
    while True:
        head = await connection.request()
        body = b'{"message":"The security token included in the request is expired"}'
        refusal = b"HTTP/1.1 403 F\r\nx-amzn-ErrorType: ExpiredTokenException\r\nContent-Length: %d\r\n\r\n" % len(body)
        await connection.answer(OK if b"Credential=NEW/" in head else refusal + body)


def test_after_expired_token_the_credentials_are_read_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    template = "[default]\naws_access_key_id = {}\naws_secret_access_key = s\naws_session_token = t\n"
    file.write_text(template.format("OLD"))
    session = boto3.Session(region_name="us-east-1")
    with serving(only_new) as server, opened(cloud_at(f"http://127.0.0.1:{server.port}", session), most=5) as transport:
        (refused,) = send_all(transport, [b"{}"])
        assert isinstance(refused, Refused)
        assert refused.code == "ExpiredTokenException"
        assert "aws sso login" in refused.fix
        assert len(server.requests) == 2
        file.write_text(template.format("NEW"))
        assert all(isinstance(outcome, Reply) for outcome in send_all(transport, [b"{}"] * 20))


def test_credentials_that_cannot_be_renewed_end_the_job_and_say_so() -> None:
    session = refreshing([])
    with serving(well) as server, opened(cloud_at(f"http://127.0.0.1:{server.port}", session)) as transport:
        assert isinstance(send_all(transport, [b"{}"])[0], Reply)
        # Within 10 minutes, botocore does not go on with credentials that it cannot renew.
        let_expire_within(session, 599)
        (outcome,) = send_all(transport, [b"{}"])
        assert isinstance(outcome, Refused)
        assert "identity provider" in outcome.message


def threads() -> int:
    """Of this process, those of awscrt included."""
    return len(list(Path("/proc/self/task").iterdir()))


def sockets() -> int:
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # another thread has closed it meanwhile
            count += "socket:" in str(link.readlink())
    return count


def test_close_leaves_nothing_and_calls_nobody() -> None:
    async def hang(connection: Connection) -> None:
        await connection.request()
        await connection.reader.read()

    outcomes: queue.Queue[Outcome] = queue.Queue()
    with serving(hang) as server:
        before = threads(), sockets()
        transport = open_transport(
            cloud_at(f"http://127.0.0.1:{server.port}"), "function", max_in_flight=8, timeout=600
        )
        for _ in range(20):
            transport.send(b"{}", outcomes.put)
        assert eventually(lambda: len(server.requests) == 8)
        assert any(thread.name == "lithops-magic-deadlines" for thread in threading.enumerate())
        transport.close()
        transport.close()
        transport.send(b"{}", outcomes.put)
        assert eventually(lambda: server.open == 0)
        gc.collect()
        assert eventually(lambda: threads() <= before[0] and sockets() <= before[1]), (threads(), sockets(), before)
        assert outcomes.empty()


def thread_states() -> int:
    """Threads that CPython knows."""
    python = ctypes.pythonapi
    for step in (python.PyInterpreterState_Main, python.PyInterpreterState_ThreadHead, python.PyThreadState_Next):
        step.restype = ctypes.c_void_p
    state = python.PyInterpreterState_ThreadHead(ctypes.c_void_p(python.PyInterpreterState_Main()))
    count = 0
    while state:
        count, state = count + 1, python.PyThreadState_Next(ctypes.c_void_p(state))
    return count


def test_the_state_of_the_event_loop_thread_is_kept_and_given_back() -> None:
    async def twice(connection: Connection) -> None:
        for _ in range(2):
            await connection.request()
            await connection.answer(OK)

    known, seen = threading.local(), queue.SimpleQueue[int]()

    def count(_: Outcome) -> None:
        known.calls = getattr(known, "calls", 0) + 1
        seen.put(known.calls)

    with serving(twice) as server:
        before = thread_states()
        with opened(cloud_at(f"http://127.0.0.1:{server.port}")) as transport:
            calls = []
            # The server closes every connection after two answers, and with it goes what the thread knew.
            for _ in range(6):
                transport.send(b"{}", count)
                calls.append(seen.get(timeout=120))
            assert server.connections > 1
            assert max(calls) > 1
        assert eventually(lambda: thread_states() <= before), (thread_states(), before)


class Stream:
    """As awscrt has it."""

    __slots__ = ("_completion_future",)

    def __init__(self) -> None:
        self._completion_future: Future[int] = Future()

    @property
    def completion_future(self) -> Future[int]:
        return self._completion_future


class Renamed:
    """As a later awscrt may have it."""

    __slots__ = ("_ending",)

    def __init__(self) -> None:
        self._ending: Future[int] = Future()

    @property
    def completion_future(self) -> Future[int]:
        return self._ending


class Open(Renamed):
    """The same where anything can be set."""


@pytest.mark.parametrize("kind", [Stream, Renamed, Open])
def test_an_exchange_is_told_of_its_end_whether_or_not_it_can_stand_for_the_future(kind: Any) -> None:
    told: list[tuple[int, BaseException | None]] = []
    broken = OSError("reset")
    for status, error in ((200, None), (0, broken)):
        exchange = Exchange(b"{}", lambda outcome: None, "/", lambda _, *end: told.append(end))
        stream = kind()
        exchange.watch(stream)
        assert (stream.completion_future is exchange) == (kind is Stream)
        if error is None:
            stream.completion_future.set_result(status)
        else:
            stream.completion_future.set_exception(error)
    assert told == [(200, None), (0, broken)]


def test_close_while_connecting_leaves_nothing() -> None:
    async def silent(connection: Connection) -> None:
        await connection.reader.read()

    with serving(silent) as server:
        before = threads()
        transport = open_transport(
            cloud_at(f"http://127.0.0.1:{server.port}"), "function", max_in_flight=50, timeout=600
        )
        outcomes: queue.Queue[Outcome] = queue.Queue()
        for _ in range(50):
            transport.send(b"{}", outcomes.put)
        transport.close()
        assert eventually(lambda: threads() <= before)
        assert eventually(lambda: server.open == 0)
        assert outcomes.empty()


def test_each_of_many_requests_is_answered_once_whatever_happens() -> None:
    async def moody(connection: Connection) -> None:
        while True:
            await connection.request()
            mood = len(connection.requests) % 7
            if mood == 1:
                return connection.reset()
            if mood == 2:
                return await connection.answer(OK[:30])
            await connection.answer(OK)

    counts: dict[int, int] = {}
    everything = threading.Event()

    def keep(number: int) -> Callable[[Outcome], None]:
        def done(_: Outcome) -> None:
            counts[number] = counts.get(number, 0) + 1
            if len(counts) == 2000:
                everything.set()

        return done

    with serving(moody) as server, opened(cloud_at(f"http://127.0.0.1:{server.port}"), most=40) as transport:
        for number in range(2000):
            transport.send(b"{}", keep(number))
        assert everything.wait(120)
        time.sleep(0.2)
        assert set(counts.values()) == {1}
        assert len(server.requests) == 2000
