"""One warm task that does nothing: a job compared with a plain call, and with one that starts a process.

Three ways alternate on one local AWS. The plain loop calls a handler that returns its event. The second calls one that
does what every job must: it ends the process of the previous call and starts a new one, which computes the value and
sends it back through a pipe. It has no function to unpickle, and no limits, logs, journal or retries.
"""

from __future__ import annotations

import io
import json
import statistics
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from typing import Any

from common import LocalAws, local_aws, machine, parser, report, seconds, table

PLAIN = """
import json, os, signal

def plain(event, context):
    return event

child = 0

def apart(event, context):
    global child
    if child:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, json.dumps(event).encode())
        while True:
            signal.pause()
    os.close(writer)
    value = json.loads(os.read(reader, 4096))
    os.close(reader)
    return value
"""
WAYS = {
    "plain": "boto3, a plain handler",
    "apart": "boto3 in a new thread, a handler that starts a process",
    "engine": "lithops-magic",
}


def same(item: int) -> int:
    """Do nothing, remotely."""
    return item


def caller(aws: LocalAws, name: str) -> Callable[[], None]:
    """Deploy one of the handlers; return a function that calls it once."""
    client = aws.cloud.client("lambda")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("handlers.py", PLAIN)
    client.create_function(
        FunctionName=name,
        Role=aws.role,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Handler=f"handlers.{name}",
        Code={"ZipFile": archive.getvalue()},
        MemorySize=aws.settings.memory,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})

    def call() -> None:
        reply = client.invoke(FunctionName=name, Payload=b"7", LogType="Tail")
        assert json.load(reply["Payload"]) == 7

    return call


def in_thread(work: Callable[[], None]) -> Callable[[], None]:
    """Return a function that does the same in a new thread."""

    def run() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    return run


def engine(aws: LocalAws) -> Callable[[], None]:
    """Return a function that runs a whole job of one task."""
    from lithops_magic.engine import MapOptions, start

    def work() -> None:
        result = start(same, [7], options=MapOptions(), settings=aws.settings)
        result.wait()
        assert result[0] == 7

    return work


def measure(ways: dict[str, Callable[[], None]], times: int) -> list[dict[str, Any]]:
    """Run all ways in turn; return the medians of their time and of this process's CPU time."""
    spent: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for number in range(times + 3):
        for way, work in ways.items():
            began, cpu = time.perf_counter(), time.process_time()
            work()
            if number >= 3:
                spent[way].append((time.perf_counter() - began, time.process_time() - cpu))
    medians = {way: [statistics.median(each) for each in zip(*pairs, strict=True)] for way, pairs in spent.items()}
    return [{"way": way, "seconds": wall, "client_cpu": cpu} for way, (wall, cpu) in medians.items()]


def main() -> None:
    arguments = parser(__doc__, "10 times")
    arguments.add_argument("--times", type=int, default=200)
    options = arguments.parse_args()
    with local_aws() as aws:
        ways = {"plain": caller(aws, "plain"), "apart": in_thread(caller(aws, "apart")), "engine": engine(aws)}
        runs = measure(ways, 10 if options.short else options.times)
    floor = runs[0]["seconds"]
    rows = [
        [WAYS[run["way"]], seconds(run["seconds"]), f"{run['seconds'] / floor:.2f}", seconds(run["client_cpu"])]
        for run in runs
    ]
    head = ["one warm task", "wall time", "by the plain handler's", "client's CPU"]
    report([table(head, rows)], runs, machine("awscrt", "awslambdaric"), options.json)


if __name__ == "__main__":
    main()
