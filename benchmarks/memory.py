"""How much of the client's memory a million tiny tasks take.

The service is simulated (`simulated_lambda.py`): a hundred sandboxes, whose tasks take next to no time and return
their item, an integer. The client is the slower side, so whatever is not bounded piles up in it. Each job runs in its
own process; for the rows of a busy machine, as many other processes as it has cores keep these busy.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from common import machine, parser, report, seconds, table
from simulated_lambda import World, allow_files, facts, settings_for, simulated_lambda

SANDBOXES = 100
DURATIONS = {"no-ops": 1e-6, "0.2 ms": 0.0002, "1 ms": 0.001}


def same(item: int) -> int:
    """Stand for the work: the simulated service answers with the item."""
    return item


def measure(url: str, tasks: int) -> dict[str, Any]:
    """Run one job in this process."""
    from lithops_magic.engine import MapOptions, start

    settings = settings_for(url)
    start(same, range(1), options=MapOptions(), settings=settings).wait()
    before = _peak()
    cpu, began = time.process_time(), time.perf_counter()
    result = start(same, range(tasks), options=MapOptions(workers=SANDBOXES), settings=settings)
    result.wait()
    spent, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = _peak()
    if result.error or list(result.succeeded().values()) != list(range(tasks)):
        raise SystemExit(f"the job broke: {result.error}")
    return {"seconds": spent, "cpu": cpu, "before_mb": before, "peak_mb": peak}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many cores busy."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measure_apart(tasks: int, name: str, burning: int) -> dict[str, Any]:
    """Run one job in its own process, against its own service."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LITHOPS_"))}
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    world = World(tasks, DURATIONS[name], SANDBOXES, burst=SANDBOXES, crashes=0.0)
    with simulated_lambda(world) as url, busy(burning):
        order = json.dumps({"url": url, "tasks": tasks})
        done = subprocess.run(
            [sys.executable, __file__, "--measure", order], env=environment, stdout=subprocess.PIPE, check=True
        )
        run: dict[str, Any] = json.loads(done.stdout)
        return {**asdict(world), "kind": name, "busy": burning, **run, **facts(url)}


def result_table(runs: list[dict[str, Any]]) -> str:
    head = ["tasks", "each", "machine", "invocations", "time", "CPU", "before", "peak RSS"]
    rows = [
        [
            f"{run['tasks']:,}",
            run["kind"],
            f"{run['busy']} others" if run["busy"] else "idle",
            f"{run['invocations']:,}",
            seconds(run["seconds"]),
            seconds(run["cpu"]),
            f"{run['before_mb']:.0f} MB",
            f"{run['peak_mb']:.0f} MB",
        ]
        for run in runs
    ]
    return table(head, rows, 3)


def main() -> None:
    arguments = parser(__doc__, "20,000 tasks, on an idle machine")
    arguments.add_argument("--tasks", type=int, default=1_000_000)
    arguments.add_argument("--measure", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    allow_files()
    if options.measure:
        order = json.loads(options.measure)
        return print(json.dumps(measure(order["url"], order["tasks"])))
    tasks = 20_000 if options.short else options.tasks
    loads = [0] if options.short else [0, os.cpu_count() or 1]
    runs = [measure_apart(tasks, name, burning) for burning in loads for name in DURATIONS]
    return report([result_table(runs)], runs, machine("awscrt"), options.json)


if __name__ == "__main__":
    main()
