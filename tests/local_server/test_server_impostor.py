"""The local AWS ends, another user takes its port: nothing is sent there, and nothing from there is believed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

import lithops_magic
from lithops_magic.aws import local_proof, session
from lithops_magic.aws.invoke.sender import NoConnection, Outcome, open_transport
from lithops_magic.config import Settings
from lithops_magic.engine.backend import aws_lambda
from localaws import LocalAws, local_command, stop_servers
from ports import reserved_port
from waiting import eventually

NOBODY = 65534
LOCAL = Settings(local=True)
IMPOSTOR = """
import os, socket, sys, threading
port, uid, answer = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
heard = open(sys.argv[4], "ab", buffering=0)
if os.getuid() == 0:
    os.setuid(uid)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(100)
print("listening", flush=True)

def serve(connection):
    while data := connection.recv(65536):
        heard.write(data)
        head = b"HTTP/1.1 200 OK\\r\\nx-local-proof: " + b"0" * 64 + b"\\r\\ncontent-type: application/json\\r\\n"
        connection.sendall(head + b"content-length: %d\\r\\n\\r\\n" % len(answer) + answer)

while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@contextlib.contextmanager
def impostor(port: int, canary: Path, heard: Path) -> Iterator[None]:
    """Another user's program at that port, which answers everything with a value of its own."""
    value = base64.b64encode(pickle.dumps(Canary(canary))).decode()
    outcomes = [{"id": i, "status": "ok", "value": value, "started": 1, "seconds": 1, "log": ""} for i in range(9)]
    reply = json.dumps({"protocol": 3, "sandbox": "s", "cold": False, "outcomes": outcomes})
    command = [sys.executable, "-c", IMPOSTOR, str(port), str(NOBODY), reply, str(heard)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            yield
        finally:
            process.kill()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], LocalAws]]:
    """Start a local AWS of this test's own, which the library finds as well; its port goes to no other program."""
    folder = tmp_path / "local"
    monkeypatch.setenv("LITHOPS_MAGIC_LOCAL_DIR", str(folder))
    with reserved_port() as port, contextlib.ExitStack() as stack:

        def start() -> LocalAws:
            command = [sys.executable, "-m", "lithops_magic.local", "serve", "--workers", "2", "--port", str(port)]
            server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            assert server.stdout is not None
            assert any("Ctrl-C" in line for line in server.stdout)
            found = local_command(folder, "ensure")
            assert found.returncode == 0, found.stderr
            return LocalAws(**json.loads(found.stdout), folder=folder)

        yield start
        stop_servers(folder)


def end(server: LocalAws) -> None:
    """As a crash would."""
    os.kill(server.pid, signal.SIGKILL)
    assert eventually(lambda: not local_proof.answers(server.endpoint_url, server.secret_access_key))
    time.sleep(0.1)


def test_a_kernel_that_used_the_local_aws_sends_nothing_to_who_took_its_port(
    own: Callable[[], LocalAws], tmp_path: Path
) -> None:
    server = own()
    large = os.urandom(300_000)
    assert list(lithops_magic.map(lambda x: x + 1, [1, 2], settings=LOCAL)) == [2, 3]
    end(server)
    with impostor(server.port, tmp_path / "sang", tmp_path / "heard"):
        assert list(lithops_magic.map(lambda x: x + 1, [1, 2], settings=LOCAL)) == [2, 3]
        assert list(lithops_magic.map(lambda x: len(large) + x, [1, 2], settings=LOCAL)) == [300_001, 300_002]
    assert not (tmp_path / "sang").exists()
    heard = (tmp_path / "heard").read_bytes()
    assert b"/_local/health" in heard
    assert b"POST" not in heard
    assert b"PUT" not in heard


def test_a_port_taken_amid_a_job_gets_nothing_either(
    own: Callable[[], LocalAws], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own()
    assert list(lithops_magic.map(lambda x: x + 1, [1, 2], settings=LOCAL)) == [2, 3]
    # As if it had ended right after it was looked at.
    monkeypatch.setattr(session.Cloud, "is_there", lambda _: True)
    end(server)
    with impostor(server.port, tmp_path / "sang", tmp_path / "heard"):
        assert list(lithops_magic.map(lambda x: x + 1, range(5), settings=LOCAL, retries=0)) == [1, 2, 3, 4, 5]
    assert not (tmp_path / "sang").exists()
    assert b"POST" not in (tmp_path / "heard").read_bytes()


def test_every_new_connection_is_proved(own: Callable[[], LocalAws], tmp_path: Path) -> None:
    server = own()
    cloud = session.Cloud.connect(LOCAL)
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="proved")
    assert cloud.is_there()
    end(server)
    assert not cloud.is_there()
    with impostor(server.port, tmp_path / "sang", tmp_path / "heard"):
        assert not cloud.is_there()
        with pytest.raises(EndpointConnectionError):
            s3.put_object(Bucket="proved", Key="private", Body=b"private")
        outcomes: list[Outcome] = []
        transport = open_transport(cloud, "function", max_in_flight=2, timeout=5)
        try:
            transport.send(b"private", outcomes.append)
            assert eventually(lambda: bool(outcomes))
        finally:
            transport.close()
    assert isinstance(outcomes[0], NoConnection)
    assert "is not this user's local AWS" in outcomes[0].message
    assert b"private" not in (tmp_path / "heard").read_bytes()


def test_a_silent_or_endless_answer_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_proof, "SECONDS", 0.3)
    start = b"HTTP/1.1 200 OK\r\n"
    for said in (b"", start + b"a: b\r\n" * 9000, start + b"content-length: 99999999999\r\n\r\n", start + b"\r\n"):
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve(listener: socket.socket = listener, said: bytes = said) -> None:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(said)
                    while connection.recv(65536):
                        pass

            thread = threading.Thread(target=serve)
            thread.start()
            assert not local_proof.answers(f"http://127.0.0.1:{listener.getsockname()[1]}", "secret")
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """What other tests deployed is not this server's."""
    known = dict(aws_lambda._deployments)
    aws_lambda._deployments.clear()
    yield
    aws_lambda._deployments.clear()
    aws_lambda._deployments.update(known)
