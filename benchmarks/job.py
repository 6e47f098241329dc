"""Whole jobs on the local AWS: lithops-magic, a plain boto3 loop and real Lithops, on the same number of sandboxes.

Each way first runs a job from scratch, including its deployment; all others find the function deployed and its
sandboxes warm. Every request is counted at the endpoint, including those of the sandboxes.
"""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from common import (
    LITHOPS,
    SANDBOXES,
    LocalAws,
    lithops,
    local_aws,
    machine,
    median,
    operations,
    parser,
    report,
    request_cost,
    seconds,
    table,
)

THREADS = 64
"""Threads of the plain loop, as many as one would use by hand."""
NAP = 0.05
WAYS = {"engine": "lithops-magic", "loop": "boto3 loop", "lithops": f"Lithops {LITHOPS}"}
JOBS = {"noop": "no-op", "nap": f"of {NAP * 1000:.0f} ms"}

Work = Callable[[str, int], None]
"""Runs a job, by its name and its number of tasks."""


@dataclass
class Run:
    way: str
    job: str
    tasks: int
    repeats: int
    """0 for the first job, with its deployment."""
    seconds: float
    """The median of the repeats."""
    requests: dict[str, int] = field(default_factory=dict)
    """Requests of the first repeat, by operation."""

    @property
    def cost(self) -> float:
        return request_cost(self.requests)


def noop(item: int) -> int:
    """Do nothing, remotely."""
    return item


def nap(item: int) -> int:
    """Wait, remotely."""
    time.sleep(NAP)
    return item


@contextmanager
def engine(aws: LocalAws) -> Iterator[Work]:
    """Use what `%%lambda_map` calls."""
    from lithops_magic.engine import MapOptions, start

    def work(job: str, tasks: int) -> None:
        function = {"noop": noop, "nap": nap}[job]
        result = start(function, range(tasks), options=MapOptions(), settings=aws.settings)
        result.wait()
        result.raise_errors()
        assert list(result.succeeded().values()) == list(range(tasks))

    yield work


@contextmanager
def loop(aws: LocalAws) -> Iterator[Work]:
    """Do what one would write by hand: create the function, wait, invoke from a thread pool."""
    from botocore.config import Config

    client = aws.cloud.client("lambda", Config(max_pool_connections=THREADS))
    deployed: set[str] = set()

    def deploy(job: str) -> None:
        client.create_function(
            FunctionName=job,
            Role=aws.role,
            Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
            Handler=f"plain.{job}",
            Code={"ZipFile": plain_zip()},
            MemorySize=aws.settings.memory,
        )
        client.get_waiter("function_active_v2").wait(FunctionName=job, WaiterConfig={"Delay": 1})
        deployed.add(job)

    def invoke(job: str, item: int) -> None:
        reply = client.invoke(FunctionName=job, Payload=json.dumps(item).encode())
        assert reply["Payload"].read() == str(item).encode()

    def work(job: str, tasks: int) -> None:
        if job not in deployed:
            deploy(job)
        with ThreadPoolExecutor(THREADS) as pool:
            assert len(list(pool.map(lambda item: invoke(job, item), range(tasks)))) == tasks

    yield work


@contextmanager
def real_lithops(aws: LocalAws) -> Iterator[Work]:
    """Lithops itself."""
    with lithops(aws) as other:

        def work(job: str, tasks: int) -> None:
            result = other.run(job, tasks)
            if "error" in result:
                raise SystemExit(f"Lithops failed: {result['error']}")

        yield work


def plain_zip() -> bytes:
    source = f"""
import time
def noop(event, context):
    return event
def nap(event, context):
    time.sleep({NAP})
    return event
"""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("plain.py", source)
    return archive.getvalue()


def measure(aws: LocalAws, way: str, sizes: list[tuple[str, int]], repeats: int) -> Iterator[Run]:
    """Run one way's jobs, each on warm sandboxes but the first."""
    with {"engine": engine, "loop": loop, "lithops": real_lithops}[way](aws) as work:
        first: dict[str, int] = {}
        with aws.counting(first):
            spent = median(lambda: work("noop", 1), 1)
        yield Run(way, "noop", 1, 0, spent, first)
        for job, tasks in sizes:
            work(job, SANDBOXES * 4)
            counts: dict[str, int] = {}
            with aws.counting(counts):
                once = median(lambda: work(job, tasks), 1)  # noqa: B023 - called at once
            times = repeats if tasks == 1 and way != "lithops" else 3 if tasks == 1 else 1
            yield Run(way, job, tasks, times, once if times == 1 else median(lambda: work(job, tasks), times), counts)  # noqa: B023


def tables(runs: list[Run]) -> list[str]:
    """Return times and requests, those of the others also as multiples of ours."""
    ours = {(run.job, run.tasks, run.repeats == 0): run for run in runs if run.way == "engine"}
    times, requests = [], []
    for run in runs:
        own = ours[run.job, run.tasks, run.repeats == 0]
        name = f"{run.tasks:,} {JOBS[run.job]}" + (", first" if run.repeats == 0 else "")
        times.append([name, WAYS[run.way], seconds(run.seconds), f"{run.seconds / own.seconds:,.2f}"])
        cells = [
            f"{sum(run.requests.values()):,}",
            f"{sum(run.requests[r] for r in run.requests if r.startswith('s3')):,}",
        ]
        requests.append(
            [name, WAYS[run.way], *cells, f"${run.cost:.7f}", f"{run.cost / own.cost:,.1f}", operations(run.requests)]
        )
    order = sorted(range(len(runs)), key=lambda i: (runs[i].repeats > 0, runs[i].job != "noop", runs[i].tasks))
    return [
        table(["tasks", "way", "wall time", "by ours"], [times[i] for i in order], 2),
        table(["tasks", "way", "requests", "to S3", "cost", "by ours", "operations"], [requests[i] for i in order], 2),
    ]


def main() -> None:
    arguments = parser(__doc__, "1 and 20 tasks, without Lithops")
    arguments.add_argument("--repeats", type=int, default=20, help="of a single task (Lithops: 3)")
    options = arguments.parse_args()
    sizes = [("noop", 1), ("noop", 20)] if options.short else [("noop", 1), ("noop", 100), ("noop", 1000), ("nap", 200)]
    ways = ["engine", "loop"] if options.short else list(WAYS)
    with local_aws() as aws:
        runs = [run for way in ways for run in measure(aws, way, sizes, 3 if options.short else options.repeats)]
    about = machine("awscrt", "awslambdaric", "moto") | {"sandboxes": SANDBOXES}
    report(tables(runs), [asdict(run) | {"cost": run.cost} for run in runs], about, options.json)


if __name__ == "__main__":
    main()
