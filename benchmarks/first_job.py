"""How long the first job takes, ever and of a new kernel, if each round trip takes 40 ms, as to a region.

A proxy in front of the local AWS delays everything by 20 ms each way. The peer is a boto3 loop that creates a function,
waits until it is active and invokes it, then invokes it again from a new process: the minimum. Each job is its own
process, timed from the call to the values, without importing boto3, which both do.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common import LocalAws, local_aws, machine, parser, report, seconds, table

TRAVEL = 0.040
"""Seconds of a round trip."""

OURS = """
import json, sys, time
import lithops_magic, boto3, awscrt.http
from lithops_magic.aws import observe
given = json.loads(sys.argv[1])
seen = []
observe.add(lambda operation, _: seen.append(operation))
settings = lithops_magic.Settings(**given["settings"])
begin = time.perf_counter()
assert lithops_magic.map(lambda x: x + 1, [1], settings=settings).values() == [2]
print(json.dumps([time.perf_counter() - begin, len(seen)]))
"""
PLAIN = """
import io, json, sys, time, zipfile
import lithops_magic, boto3, awscrt.http
given = json.loads(sys.argv[1])
settings, name = given["settings"], given["settings"]["namespace"]
code = io.BytesIO()
with zipfile.ZipFile(code, "w") as archive:
    archive.writestr("plain.py", "def handle(event, context):\\n    return event + 1\\n")
begin = time.perf_counter()
session = boto3.Session(settings["access_key_id"], settings["secret_access_key"], region_name="us-east-1")
client = session.client("lambda", endpoint_url=settings["endpoint_url"])
calls = 1
try:
    answer = client.invoke(FunctionName=name, Payload=b"1")
except client.exceptions.ResourceNotFoundException:
    client.create_function(
        FunctionName=name, Role=settings["execution_role"], Handler="plain.handle", Code={"ZipFile": code.getvalue()},
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}", MemorySize=1769,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    answer = client.invoke(FunctionName=name, Payload=b"1")
    calls = 4
assert json.load(answer["Payload"]) == 2
print(json.dumps([time.perf_counter() - begin, calls]))
"""


@contextmanager
def distant(url: str) -> Iterator[str]:
    """Run a proxy that forwards everything after `TRAVEL` / 2."""
    host, _, port = url.removeprefix("http://").partition(":")
    loop, address = asyncio.new_event_loop(), ""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Latency without a lower bandwidth: data does not wait for earlier data to arrive.
        while data := await reader.read(65_536):
            loop.call_later(TRAVEL / 2, writer.write, data)
        loop.call_later(TRAVEL, writer.close)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pass_on(reader, back), pass_on(there, writer), return_exceptions=True)

    server = loop.run_until_complete(asyncio.start_server(connected, "127.0.0.1", 0))
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield address
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def once(program: str, aws: LocalAws, url: str, namespace: str) -> tuple[float, int]:
    """Run a job in its own process; return its seconds and its number of requests."""
    settings = {
        "local": False,
        "region": "us-east-1",
        "endpoint_url": url,
        "execution_role": aws.role,
        "access_key_id": aws.server.access_key_id,
        "secret_access_key": aws.server.secret_access_key,
        "namespace": namespace,
    }
    command = [sys.executable, "-c", program, json.dumps({"settings": settings})]
    took, requests = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return took, requests


def main() -> None:
    options = parser(__doc__, "one round").parse_args()
    rounds = 1 if options.short else 7
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as cache, local_aws() as aws, distant(aws.server.endpoint_url) as url:
        os.environ["LITHOPS_MAGIC_CACHE_DIR"] = cache
        for number in range(rounds):
            for name, program in (("plain", PLAIN), ("ours", OURS)):
                for kind in ("first ever", "of a new kernel"):
                    took, requests = once(program, aws, url, f"first{number}-{name}")
                    runs.append({"way": name, "kind": kind, "seconds": took, "requests": requests})
    rows = []
    for kind in ("first ever", "of a new kernel"):
        ours, plain = ([run for run in runs if run["way"] == way and run["kind"] == kind] for way in ("ours", "plain"))
        took, peer = (statistics.median(run["seconds"] for run in each) for each in (ours, plain))
        round_trips = f"{(took - peer) / TRAVEL:+.1f}"
        rows.append([kind, seconds(took), seconds(peer), f"{took / peer:.2f}", round_trips, str(ours[-1]["requests"])])
    head = ["job", "lithops-magic", "boto3 loop", "ratio", "round trips more", "requests"]
    report([table(head, rows)], runs, machine(), options.json)


if __name__ == "__main__":
    main()
