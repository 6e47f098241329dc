"""A million tasks on ten thousand sandboxes: how close the engine comes to what AWS's scaling quota allows.

The service is simulated (`simulated_lambda.py`), in real time. Each job runs in its own process, over plain HTTP. What
counts is the makespan, with the function deployed once and several times. The bound is that of a scheduler that knows
every duration in advance, never waits, loses nothing to crashes and has free cold starts; *in order* is the same for a
scheduler that takes the tasks in order and knows no duration. One job may run no task twice: tasks that crash there
have failed. The bare loop is what AWS's C runtime can do on this machine against this service, with its Python
callbacks and nothing else.

A function's quota is a tenth of the account's concurrency, as AWS's is for 10,000: with less concurrency and
proportionally fewer tasks, everything is smaller and takes as long.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

from common import machine, parser, report, seconds, table
from simulated_lambda import World, allow_files, facts, settings_for, simulated_lambda


def same(item: int) -> int:
    """Stand for the work: the simulated service answers with the item."""
    return item


def measure(url: str, world: World, retries: int) -> dict[str, Any]:
    """Run one job in this process."""
    from lithops_magic.engine import MapOptions, start
    from lithops_magic.engine.backend import copies, limiter

    copies.MAX_COPIES = world.copies
    # The engine knows AWS's quota; here, it knows that of a small world.
    limiter.BURST, limiter.SCALING = world.burst, world.refill
    settings = settings_for(url)
    options = MapOptions(workers=world.concurrency, retries=retries, backups=retries > 0, errors="keep")
    cpu, began = time.process_time(), time.perf_counter()
    result = start(same, range(world.tasks), options=options, settings=settings)
    result.wait()
    spent, cpu = time.perf_counter() - began, time.process_time() - cpu
    # Measured before a dictionary of all values is made to compare them.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if result.error:
        raise SystemExit(f"the job broke: {result.error}")
    failed = result.errors
    wrong = sum(
        1
        for i, value in zip(
            (i for i in range(world.tasks) if i not in failed), result.succeeded().values(), strict=True
        )
        if i != value
    )
    snapshot = result.snapshot()
    return {
        "seconds": spent,
        "cpu": cpu,
        "peak_rss_mb": peak,
        "done": snapshot.done,
        "failed": snapshot.failed,
        "wrong": wrong,
        "lost": world.tasks - snapshot.done - snapshot.failed,
        "retried": snapshot.retried,
        "backups": snapshot.backups,
    }


def bare(url: str, world: World) -> dict[str, Any]:
    """Send the same tasks with AWS's C runtime and next to nothing else, which no client in Python can beat.

    It knows the tasks' mean duration from the start, sends chunks as large as ours to one function after the other over
    connections that it opens as we do, without a signature, and reads nothing but whether a reply is there. Stragglers
    are copied by the same rule as ours, but crashes are not handled: they are left out by the service.
    """
    from awscrt import http
    from awscrt import io as crt

    from lithops_magic.aws.invoke.thread_state import hold
    from lithops_magic.aws.invoke.transport import HANDSHAKES
    from lithops_magic.engine.dispatch.chunk_size import ChunkSize
    from lithops_magic.engine.dispatch.stragglers import FACTOR, MIN_SECONDS, PERIOD

    sizes = ChunkSize(None, 6_000_000)
    sizes.observe(world.tasks, world.mean * world.tasks, world.tasks * 100)
    group = crt.EventLoopGroup(1)
    bootstrap = crt.ClientBootstrap(group, crt.DefaultHostResolver(group))
    address = urlsplit(url)
    host, port = str(address.hostname), int(address.port or 80)
    sent, backups, opened, over = 0, 0, 0, threading.Event()
    settled = bytearray(world.tasks)
    unanswered = world.tasks
    flights: dict[range, float] = {}
    idle: list[tuple[Any, str]] = []
    task = b'{"id":%d,"data":"gAVLKi4="}'

    def invoke(connection: Any, path: str) -> None:
        nonlocal sent
        if sent == world.tasks:
            return idle.append((connection, path))
        first, sent = sent, min(world.tasks, sent + sizes.size(world.tasks - sent, world.concurrency))
        flights[range(first, sent)] = time.perf_counter()
        return send(connection, path, range(first, sent))

    def send(connection: Any, path: str, tasks: range) -> None:
        body = b'{"protocol":4,"key":"00","request":"r","tasks":[%s]}' % b",".join([task % index for index in tasks])
        headers = http.HttpHeaders([("host", address.netloc), ("content-length", str(len(body)))])
        request = http.HttpRequest("POST", path, headers, io.BytesIO(body))

        def answered(completion: Future[int]) -> None:
            nonlocal unanswered
            assert completion.result() == 200
            flights.pop(tasks, None)
            unanswered -= settled.count(0, tasks.start, tasks.stop)
            settled[tasks.start : tasks.stop] = b"\1" * len(tasks)
            if unanswered == 0:
                over.set()
            invoke(connection, path)

        stream = connection.request(request, lambda http_stream, **_: hold(http_stream.connection), lambda **_: None)
        stream.completion_future.add_done_callback(answered)
        stream.activate()

    def back_up() -> None:
        nonlocal backups
        for tasks, began in list(flights.items()):
            most = world.mean * (len(tasks) + (FACTOR - 1) * len(tasks) ** 0.5)
            if time.perf_counter() - began > max(MIN_SECONDS, most) and len(idle) >= len(tasks):
                flights.pop(tasks, None)
                backups += len(tasks)
                for index in tasks:
                    send(*idle.pop(), range(index, index + 1))

    def connect(_: Any = None) -> None:
        nonlocal opened
        if opened == world.concurrency:
            return
        number, opened = opened * world.copies // world.concurrency, opened + 1
        path = f"/2015-03-31/functions/bare-{number}/invocations"
        opening = http.HttpClientConnection.new(host, port, bootstrap)
        opening.add_done_callback(connect)
        opening.add_done_callback(lambda opening: invoke(opening.result(), path))

    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(HANDSHAKES):
        connect()
    while not over.wait(PERIOD):
        if sent == world.tasks:
            back_up()
    spent, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    nothing = dict.fromkeys(("failed", "wrong", "lost", "retried"), 0)
    return {"seconds": spent, "cpu": cpu, "peak_rss_mb": peak, "done": world.tasks, "backups": backups, **nothing}


def measure_apart(world: World, retries: int, *, by_hand: bool = False) -> dict[str, Any]:
    """Run one job, or the bare loop if `by_hand`, in its own process, against its own service."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LITHOPS_"))}
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    with simulated_lambda(world) as url:
        order = json.dumps({"url": url, "world": asdict(world), "retries": retries, "bare": by_hand})
        done = subprocess.run(
            [sys.executable, __file__, "--measure", order], env=environment, stdout=subprocess.PIPE, check=True
        )
        durations = world.durations()
        bounds = {"bound": world.least_makespan(durations), "in_order": world.in_order_makespan(durations)}
        run: dict[str, Any] = json.loads(done.stdout)
        return {**asdict(world), "retries": retries, "bare": by_hand, **bounds, **run, **facts(url)}


def result_table(runs: list[dict[str, Any]]) -> str:
    head = [
        "way",
        "tasks",
        "retries",
        "functions",
        "most sandboxes",
        "invocations",
        "429",
        "crashes",
        "makespan",
        "bound",
    ]
    head += [
        "ratio",
        "in order",
        "ratio",
        "backups",
        "failed",
        "lost",
        "wrong",
        "run twice",
        "CPU",
        "service's",
        "peak RSS",
    ]
    rows = [
        [
            "bare loop" if run["bare"] else "lithops-magic",
            f"{run['tasks']:,}",
            f"{run['retries']}",
            f"{run['functions']}",
            f"{run['most_running']:,} of {run['concurrency']:,}",
            f"{run['invocations']:,}",
            f"{run['throttled']:,}",
            f"{run['crashed']:,}",
            seconds(run["seconds"]),
            seconds(run["bound"]),
            f"{run['seconds'] / run['bound']:.2f}",
            seconds(run["in_order"]),
            f"{run['seconds'] / run['in_order']:.2f}",
            f"{run['backups']:,}",
            f"{run['failed']:,}",
            f"{run['lost']:,}",
            f"{run['wrong']:,}",
            f"{run['run_twice']:,}",
            seconds(run["cpu"]),
            seconds(run["service_cpu"]),
            f"{run['peak_rss_mb']:,.0f} MB",
        ]
        for run in runs
    ]
    return table(head, rows)


def main() -> None:
    arguments = parser(__doc__, "20,000 tasks on 200 sandboxes")
    arguments.add_argument("--tasks", type=int, default=1_000_000)
    arguments.add_argument("--mean", type=float, default=0.6, help="seconds of a task")
    arguments.add_argument("--concurrency", type=int, default=10_000)
    arguments.add_argument("--measure", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    allow_files()
    if options.measure:
        order = json.loads(options.measure)
        url, world = order["url"], World(**order["world"])
        return print(json.dumps(bare(url, world) if order["bare"] else measure(url, world, order["retries"])))
    quotas = options.concurrency, options.concurrency // 10, options.concurrency / 100
    if options.short:
        worlds = [
            (World(20_000, 0.04, 200, burst=100, refill=50), 2),
            (World(20_000, 0.04, 200, burst=50, refill=5, copies=4), 2),
            (World(1000, 0.04, 200, burst=100, refill=50), 0),
        ]
    else:
        worlds = [
            *((World(options.tasks, options.mean, *quotas, copies=copies), 2) for copies in (1, 4, 10)),
            (World(options.tasks // 50, 5 * options.mean, *quotas), 0),
        ]
    runs = [measure_apart(world, retries) for world, retries in worlds]
    # The last world with retries, which has the most functions.
    runs.append(measure_apart(replace(worlds[-2][0], crashes=0.0), 0, by_hand=True))
    return report([result_table(runs)], runs, machine("awscrt"), options.json)


if __name__ == "__main__":
    main()
