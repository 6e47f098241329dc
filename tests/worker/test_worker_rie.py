"""The deployed package under AWS's own runtime interface emulator and runtime client."""

from __future__ import annotations

import io
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import awslambdaric
import pytest

from lithops_magic.engine.backend.deployment_package import worker_package
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.item import fragment
from lithops_magic.engine.wire.reply import WorkerReply, decode, unpickle
from ports import reserved_port
from waiting import eventually

pytestmark = pytest.mark.rie

Invoke = Callable[[Callable[[Any], Any], list[Any]], WorkerReply]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """What the emulator and the function print."""
    return tmp_path / "output"


@pytest.fixture
def limit() -> int:
    """The function's timeout in seconds, which the emulator has include the start of the process."""
    return 60


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """For the emulator's own interface and for its Runtime API."""
    with reserved_port() as interface, reserved_port() as runtime_api:
        yield interface, runtime_api


@pytest.fixture
def invoke(emulator: Path, output: Path, tmp_path: Path, limit: int, ports: tuple[int, int]) -> Iterator[Invoke]:
    root = tmp_path / "task"
    zipfile.ZipFile(io.BytesIO(worker_package())).extractall(root)
    address, runtime_api = (f"127.0.0.1:{port}" for port in ports)
    addresses = ["--runtime-interface-emulator-address", address, "--runtime-api-address", runtime_api]
    with output.open("wb") as file:
        process = subprocess.Popen(
            [str(emulator), *addresses, sys.executable, "-m", "awslambdaric", "lithops_magic_worker.handler.handle"],
            cwd=root,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join([str(root), str(Path(awslambdaric.__file__).parents[1])]),
                "LAMBDA_TASK_ROOT": str(root),
                "AWS_LAMBDA_FUNCTION_TIMEOUT": str(limit),
            },
            stdout=file,
            stderr=subprocess.STDOUT,
        )

    def call(function: Callable[[Any], Any], items: list[Any]) -> WorkerReply:
        blob = Function.pickle(function).place()
        body = blob.request(fragment(i, item, blob.room) for i, item in enumerate(items))
        url = f"http://{address}/2015-03-31/functions/function/invocations"
        with urllib.request.urlopen(url, data=body, timeout=60) as answer:
            return decode(answer.read())

    try:
        _listening(address)
        yield call
    finally:
        process.kill()
        process.wait()


def _listening(address: str) -> None:
    host, _, port = address.partition(":")

    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    assert eventually(is_open), "the emulator does not listen"


def test_values_errors_and_logs(invoke: Invoke) -> None:
    def task(x: int) -> float:
        print("ünï \ud800", x)
        return 1 / x

    first = invoke(task, [1, 0, 2])
    assert [first.outcomes[i].status for i in range(3)] == ["ok", "error", "ok"]
    assert unpickle(first.outcomes[2].value) == 0.5
    assert first.outcomes[2].log == "ünï \\ud800 2\n"
    second = invoke(task, [4])
    assert (first.cold, second.cold, first.sandbox == second.sandbox) == (True, False, True)


def test_records_and_output_are_in_the_log_once_and_reach_the_platform(invoke: Invoke, output: Path) -> None:
    def task(x: int) -> None:
        logging.warning("warned %d", x)
        logging.getLogger("mine").error("named")
        print("printed")
        os.write(2, b"descriptor\n")
        subprocess.run(["echo", "child"], check=True)
        if x == 1:
            logging.basicConfig(level=logging.INFO, force=True)
        logging.info("asked for by %d", x)

    logs = [f"WARNING:root:warned {x}\nERROR:mine:named\nprinted\ndescriptor\nchild\n" for x in range(2)]
    logs[1] += "INFO:root:asked for by 1\n"
    for _ in range(2):
        reply = invoke(task, [0, 1])
        assert [reply.outcomes[i].log for i in range(2)] == logs
    told = output.read_text()
    assert told.count("WARNING:root:warned 0\n") == told.count("INFO:root:asked for by 1\n") == 2
    assert told.count("descriptor\n") == told.count("child\n") == told.count("ERROR:mine:named\n") == 4


def test_a_fault_of_the_worker_ends_the_process_after_the_reply(invoke: Invoke, output: Path) -> None:
    before = invoke(lambda x: x, [1]).sandbox
    with pytest.raises((HTTPError, ValueError)):
        invoke(lambda x: setattr(os, "umask", None), [1])
    assert eventually(lambda: "the worker itself failed: TypeError: " in output.read_text())
    assert eventually(lambda: answers(invoke, before))


def answers(invoke: Invoke, before: str = "") -> bool:
    """Whether there is a worker, and another one than before."""
    try:
        return invoke(lambda x: x, [1]).sandbox != before
    except (OSError, ValueError):
        return False


@pytest.mark.parametrize("limit", [5])
def test_the_time_limit_comes_before_the_platforms(invoke: Invoke) -> None:
    assert eventually(lambda: answers(invoke))
    reply = invoke(lambda x: time.sleep(60 * x), [0, 1, 0])
    assert {i: one.status for i, one in reply.outcomes.items()} == {0: "ok", 1: "timeout"}


def test_the_largest_reply_passes(invoke: Invoke) -> None:
    reply = invoke(os.urandom, [8_000_000, 4_700_000])
    assert [reply.outcomes[i].status for i in range(2)] == ["too_large", "ok"]
