"""The same function and events under AWS's own Runtime Interface Emulator and in our sandboxes: equal replies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ports import reserved_port

pytestmark = [pytest.mark.rie, pytest.mark.timeout(600)]

TIMEOUT = 3
SOURCE = textwrap.dedent(
    """
    import ctypes, decimal, os, sys, time
    class Custom(Exception): pass
    def deep(n):
        if n == 0: raise Custom("deep ü")
        deep(n - 1)
    def handler(event, context):
        kind = event.get("kind") if isinstance(event, dict) else None
        if kind == "context": return [context.function_name, context.function_version, context.memory_limit_in_mb]
        if kind == "raise": raise ValueError("wrong")
        if kind == "deep": deep(3)
        if kind == "empty": raise Exception()
        if kind == "set": return {1}
        if kind == "decimal": return decimal.Decimal("1.5")
        if kind == "nan": return [float("nan"), float("inf")]
        if kind == "exit": sys.exit(event["code"])
        if kind == "interrupt": raise KeyboardInterrupt
        if kind == "kill": os.kill(os.getpid(), event["signal"])
        if kind == "segfault": ctypes.string_at(0)
        if kind == "big": return "a" * event["size"]
        if kind == "sleep": time.sleep(event["for"])
        return event
    """
)
EVENTS: list[Any] = [
    {"plain": [1, 2.5, None, True, "ü\N{SNOWMAN}"]},
    [1, "two"],
    "text",
    {"kind": "context"},
    {"kind": "raise"},
    {"kind": "deep"},
    {"kind": "empty"},
    {"kind": "set"},
    {"kind": "decimal"},
    {"kind": "nan"},
    {"kind": "exit", "code": 1},
    {"kind": "exit", "code": 42},
    {"kind": "interrupt"},
    {"kind": "kill", "signal": 9},
    {"kind": "kill", "signal": 15},
    {"kind": "segfault"},
    {"kind": "big", "size": 6 * 1024 * 1024},
    {"plain": "again"},
]


@contextlib.contextmanager
def emulating(emulator: Path, folder: Path, api: int, front: int) -> Iterator[str]:
    options = [
        "--runtime-api-address",
        f"127.0.0.1:{api}",
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{front}",
    ]
    variables = {
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUT),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(folder),
    }
    command = [str(emulator), *options, sys.executable, "-m", "awslambdaric", "app.handler"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, env=variables, stdout=quiet, stderr=quiet) as process:
        try:
            yield f"http://127.0.0.1:{front}/2015-03-31/functions/function/invocations"
        finally:
            process.kill()


def ask(url: str, event: Any) -> bytes:
    request = urllib.request.Request(url, data=json.dumps(event).encode())
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            return error.read()
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "the emulator does not answer"
            time.sleep(0.05)


def normal(body: bytes) -> Any:
    """The reply without what must differ: request ids and the folder of the code."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", body.decode())
    text = re.sub(r'File \\"[^"]*/app\.py', r'File \\"app.py', text)
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_replies_equal_the_emulator_s(emulator: Path, bench: Any) -> None:
    version = bench.version(SOURCE, timeout=TIMEOUT)

    async def ours() -> list[bytes]:
        async with bench.running() as runtime:
            return [(await bench.invoke(runtime, version, event))[1].payload for event in EVENTS]

    own = asyncio.run(ours())
    with reserved_port() as api, reserved_port() as front, emulating(emulator, version.code, api, front) as url:
        theirs = [ask(url, event) for event in EVENTS]
    pairs = [(event, normal(mine), normal(other)) for event, mine, other in zip(EVENTS, own, theirs, strict=True)]
    assert [(event, mine) for event, mine, _ in pairs] == [(event, other) for event, _, other in pairs]


def test_only_the_wording_of_a_time_out_differs(emulator: Path, bench: Any) -> None:
    """The emulator answers in plain text what Lambda itself answers as JSON."""
    version = bench.version(SOURCE, timeout=TIMEOUT)
    event = {"kind": "sleep", "for": 30}

    async def ours() -> Any:
        async with bench.running() as runtime:
            return (await bench.invoke(runtime, version, event))[0]

    own = asyncio.run(ours())
    with reserved_port() as api, reserved_port() as front, emulating(emulator, version.code, api, front) as url:
        theirs = ask(url, event).decode()
    assert theirs == "Task timed out after 3.00 seconds"
    assert own["errorType"] == "Sandbox.Timedout"
    assert own["errorMessage"].endswith(f"Error: {theirs}")
