"""What one invocation costs the client: tasks that do nothing, on a Lambda that runs nothing.

Each way of invoking runs in its own process, and sends the same number of requests of about the same size over the same
number of connections: our whole engine, with one task per request; a bare loop on AWS's C runtime, which is the limit;
boto3 in a thread pool, as one would write it by hand; and Lithops' way, which signs with botocore and sends with
urllib3, from at most 64 threads, as in Lithops. They alternate several times; the table has the medians.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from common import machine, parser, report, table
from null_lambda import FUNCTION, MODULE, null_lambda

REGION = "us-east-1"
PATH = f"/2015-03-31/functions/{FUNCTION}/invocations"
BODY = b'{"tasks":[{"id":0,"data":"%s"}]}' % (b"x" * 700)
"""About as long as the engine's request for one task."""
LITHOPS_THREADS = 64
NAMES = {"engine": "lithops-magic", "bare": "bare awscrt loop", "boto3": "boto3 threads", "lithops": "Lithops' way"}


def noop(item: int) -> None:
    """Do nothing, remotely."""


def engine(url: str, connections: int, invocations: int) -> Callable[[], None]:
    """Run our whole engine: it pickles, schedules, sends, reads results, and computes costs."""
    from lithops_magic.config import Settings
    from lithops_magic.engine import MapOptions, start
    from lithops_magic.engine.dispatch import answers

    settings = Settings(
        local=False,
        region=REGION,
        execution_role="arn:aws:iam::123456789012:role/null",
        access_key_id="AKIDEXAMPLE",
        secret_access_key="secret",
        endpoint_url=url,
    )

    # nginx cannot seal its replies: the seal is computed, as usual, but any is accepted.
    check = answers.is_sealed
    answers.is_sealed = lambda *reply: check(*reply) or True

    def run(tasks: int) -> None:
        result = start(noop, range(tasks), options=MapOptions(chunksize=1, workers=connections), settings=settings)
        result.wait()
        result.raise_errors()
        assert list(result.succeeded().values()) == [None] * tasks

    run(1)  # finds the function, which each process does once
    return lambda: run(invocations)


def bare(url: str, connections: int, invocations: int) -> Callable[[], None]:
    """Do the minimum with AWS's C runtime from Python: sign, send and receive, on its own thread."""
    from awscrt import auth, http
    from awscrt import io as crt

    group = crt.EventLoopGroup(1)
    bootstrap = crt.ClientBootstrap(group, crt.DefaultHostResolver(group))
    options = crt.TlsContextOptions()
    options.override_default_trust_store_from_path(ca_filepath=os.environ["AWS_CA_BUNDLE"])
    address = urlsplit(url)
    host, port = str(address.hostname), int(address.port or 443)
    tls = crt.ClientTlsContext(options).new_connection_options()
    tls.set_server_name(host)
    provider = auth.AwsCredentialsProvider.new_static("AKIDEXAMPLE", "secret")
    headers = [("host", address.netloc), ("content-length", str(len(BODY))), ("x-amz-log-type", "Tail")]
    left, unanswered, over = invocations, invocations, threading.Event()

    def invoke(connection: Any) -> None:
        nonlocal left
        if left == 0:
            return
        left -= 1
        request = http.HttpRequest("POST", PATH, http.HttpHeaders(headers), io.BytesIO(BODY))
        config = auth.AwsSigningConfig(credentials_provider=provider, region=REGION, service="lambda")
        auth.aws_sign_request(request, config).add_done_callback(lambda signed: send(connection, signed.result()))

    def send(connection: Any, request: Any) -> None:
        chunks: list[bytes] = []

        def answered(completion: Future[int]) -> None:
            nonlocal unanswered
            assert completion.result() == 200
            assert b"".join(chunks)
            unanswered -= 1
            if unanswered == 0:
                over.set()
            invoke(connection)

        stream = connection.request(request, lambda **_: None, lambda chunk, **_: chunks.append(chunk))
        stream.completion_future.add_done_callback(answered)
        stream.activate()

    def run() -> None:
        for _ in range(connections):
            opening = http.HttpClientConnection.new(host, port, bootstrap, None, tls)
            opening.add_done_callback(lambda opened: invoke(opened.result()))
        over.wait()

    return run


def boto3(url: str, connections: int, invocations: int) -> Callable[[], None]:
    """Do what one would write by hand."""
    from boto3 import Session
    from botocore.config import Config

    client = Session("AKIDEXAMPLE", "secret").client(
        "lambda", region_name=REGION, endpoint_url=url, config=Config(max_pool_connections=connections)
    )

    def invoke(_: int) -> None:
        assert client.invoke(FunctionName=FUNCTION, Payload=BODY, LogType="Tail")["Payload"].read()

    return lambda: _in_threads(invoke, connections, invocations)


def lithops(url: str, connections: int, invocations: int) -> Callable[[], None]:
    """Do what Lithops' Lambda backend does for each call, and nothing else of Lithops."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.httpsession import URLLib3Session

    threads = min(connections, LITHOPS_THREADS)
    credentials = Credentials("AKIDEXAMPLE", "secret")
    session = URLLib3Session(verify=os.environ["AWS_CA_BUNDLE"], max_pool_connections=threads)

    def invoke(_: int) -> None:
        request = AWSRequest(method="POST", url=url + PATH, data=BODY, headers={"X-Amz-Log-Type": "Tail"})
        SigV4Auth(credentials, "lambda", REGION).add_auth(request)
        assert session.send(request.prepare()).content

    return lambda: _in_threads(invoke, threads, invocations)


def _in_threads(invoke: Callable[[int], None], threads: int, invocations: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(invoke, range(invocations)):
            pass


def measure(way: str, url: str, connections: int, invocations: int) -> dict[str, Any]:
    """Run one way in this process."""
    run = {"engine": engine, "bare": bare, "boto3": boto3, "lithops": lithops}[way](url, connections, invocations)
    cpu, began = time.process_time(), time.perf_counter()
    run()
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    return {
        "way": way,
        "connections": connections,
        "invocations": invocations,
        "cpu_us": cpu / invocations * 1e6,
        "per_second": invocations / seconds,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure_apart(way: str, url: str, connections: int, invocations: int, folder: Path) -> dict[str, Any]:
    """Run one way in its own process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LITHOPS_"))}
    environment["AWS_CA_BUNDLE"] = str(folder / "certificate.pem")
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    arguments = [way, url, str(connections), str(invocations)]
    done = subprocess.run(
        [sys.executable, __file__, "--measure", *arguments], env=environment, stdout=subprocess.PIPE, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def result_table(runs: list[dict[str, Any]]) -> str:
    """Return the medians; each ratio is of runs of the same turn with the same number of connections."""
    rows = []
    for size in dict.fromkeys(run["connections"] for run in runs):
        cpu = {way: [run["cpu_us"] for run in _of(runs, way, size)] for way in NAMES}
        for way, name in NAMES.items():
            per_second = median(run["per_second"] for run in _of(runs, way, size))
            cells = [f"{size:,}", name, f"{median(cpu[way]):,.0f} µs"]
            for other in ("bare", "engine"):
                cells.append(f"{median(a / b for a, b in zip(cpu[way], cpu[other], strict=True)):.2f}")
            most = max(run["peak_rss_mb"] for run in _of(runs, way, size))
            rows.append([*cells, f"{per_second:,.0f}", f"{most:.0f} MB"])
    head = ["connections", "way", "CPU per invocation", "by the bare loop's", "by ours", "invocations/s", "peak RSS"]
    return table(head, rows, 2)


def _of(runs: list[dict[str, Any]], way: str, size: int) -> list[dict[str, Any]]:
    return [run for run in runs if run["way"] == way and run["connections"] == size]


def main() -> None:
    arguments = parser(__doc__, "1,000 invocations over 64 connections")
    arguments.add_argument("--connections", type=int, nargs="+", default=[64, 1000])
    arguments.add_argument("--invocations", type=int, default=20_000)
    arguments.add_argument("--turns", type=int, default=3)
    arguments.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.measure:
        way, url, connections, invocations = options.measure
        return print(json.dumps(measure(way, url, int(connections), int(invocations))))
    if not MODULE.exists():
        raise SystemExit("This needs nginx with its echo module: apt-get install nginx-light openssl")
    sizes, invocations, turns = options.connections, options.invocations, options.turns
    if options.short:
        sizes, invocations, turns = [64], 1000, 1
    with tempfile.TemporaryDirectory() as name, null_lambda(Path(name)) as url:
        runs = [
            measure_apart(way, url, size, invocations, Path(name))
            for size in sizes
            for _ in range(turns)
            for way in NAMES
        ]
    return report([result_table(runs)], runs, machine("awscrt"), options.json)


if __name__ == "__main__":
    main()
