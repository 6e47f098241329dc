"""What large functions, items and results cost: bytes moved and MB/s of lithops-magic, real Lithops and a plain copy.

The data is random, so that compression gains nothing. Every way has warm sandboxes, and its layer if it needs one; then
a line of the function with the closure is edited, and it runs once more. The plain copy moves the same bytes through
the local S3 with boto3 from eight threads: what every sandbox needs is uploaded once and downloaded once per sandbox; a
result is uploaded and downloaded once. Everything shares this machine's cores, including S3.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from common import LITHOPS, SANDBOXES, LocalAws, lithops, local_aws, machine, parser, report, seconds, table

MEGABYTE = 1_000_000
ARRAY = 1250
"""Numbers in an array: 10 kB."""
BUCKET = "plain-copy"
NAMES = {
    "engine": "lithops-magic",
    "edited": "lithops-magic, a line edited",
    "lithops": f"Lithops {LITHOPS}",
    "unlimited": "Lithops, data_limit off",
}


@dataclass(frozen=True)
class Job:
    """One kind of payload."""

    name: str
    text: str
    tasks: int
    lithops_tasks: int
    """Fewer, because each of them downloads the function again from the local S3."""
    size: int
    """Bytes of the closure, or of a task's payload."""

    def carried(self, tasks: int) -> int:
        """Return the bytes of payload that must reach a receiver."""
        return {"closure": SANDBOXES * self.size, "megabyte": tasks * self.size, "arrays": 2 * tasks * self.size}[
            self.name
        ]


@dataclass
class Run:
    job: str
    way: str
    tasks: int
    seconds: float
    megabytes: float
    """Payload that must be carried: to each sandbox once, to or from each task once."""
    requests: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    """Bytes of request bodies by operation."""
    sent: dict[str, int] = field(default_factory=dict)
    error: str = ""

    @property
    def moved(self) -> float:
        """MB that went over the network in either direction."""
        return (sum(self.received.values()) + sum(self.sent.values())) / MEGABYTE


@functools.cache
def closure(size: int) -> tuple[Callable[[int], int], Callable[[int], int]]:
    """Return a function with a large closure, and the same with a line edited."""
    data = os.urandom(size)

    def measure(item: int) -> int:
        return len(data) + item

    def edited(item: int) -> int:
        return item + len(data) + 1

    return measure, edited


def megabyte(_: int) -> bytes:
    """Return a megabyte."""
    return os.urandom(MEGABYTE)


def double(array: Any) -> Any:
    """Take and return an array."""
    return array * 2


def prepare(job: Job, tasks: int, *, edited: bool = False) -> tuple[Callable[[Any], Any], Iterable[Any]]:
    """Return the function and the items of one job."""
    if job.name == "arrays":
        import numpy as np

        return double, list(np.random.default_rng(0).random((tasks, ARRAY)))
    return (closure(job.size)[edited] if job.name == "closure" else megabyte), range(tasks)


def warm(aws: LocalAws, job: Job) -> None:
    """Warm up the sandboxes, including their connections to S3, and publish the layer."""
    from lithops_magic.engine import MapOptions, start

    data = os.urandom(4 * MEGABYTE)  # more than goes into the requests

    def pause(array: Any) -> Any:
        time.sleep(3.0)
        return double(array), data[0]

    items: Iterable[Any] = prepare(job, SANDBOXES)[1] if job.name == "arrays" else range(SANDBOXES)
    result = start(pause, items, options=MapOptions(chunksize=1), settings=aws.settings)
    result.wait()
    result.raise_errors()


def engine(aws: LocalAws, job: Job, *, edited: bool = False) -> tuple[float, str]:
    """Run a job as `%%lambda_map` does."""
    from lithops_magic.engine import MapOptions, start

    function, items = prepare(job, job.tasks, edited=edited)
    began = time.perf_counter()
    result = start(function, items, options=MapOptions(), settings=aws.settings)
    result.wait()
    result.raise_errors()
    assert len(list(result.succeeded().values())) == job.tasks
    return time.perf_counter() - began, ""


def copy(aws: LocalAws, job: Job) -> tuple[float, str]:
    """Move the same bytes and do nothing else."""
    from botocore.config import Config

    client = aws.cloud.client("s3", Config(max_pool_connections=SANDBOXES))
    data = os.urandom(job.size if job.name == "closure" else MEGABYTE)
    pieces = range(1 if job.name == "closure" else job.tasks * job.size // MEGABYTE)
    readers = range(SANDBOXES) if job.name == "closure" else pieces

    def put(number: int) -> None:
        client.put_object(Bucket=BUCKET, Key=str(number), Body=data)

    def get(number: int) -> None:
        key = "0" if job.name == "closure" else str(number)
        assert len(client.get_object(Bucket=BUCKET, Key=key)["Body"].read()) == len(data)

    began = time.perf_counter()
    with ThreadPoolExecutor(SANDBOXES) as pool:
        for step in [(put, pieces), (get, readers)] * (2 if job.name == "arrays" else 1):
            for _ in pool.map(*step):
                pass
    return time.perf_counter() - began, ""


def measure(aws: LocalAws, job: Job, way: str, tasks: int, work: Callable[[], tuple[float, str]]) -> Run:
    """Run one job in one way, and count what it moves."""
    run = Run(job.name, way, tasks, 0.0, job.carried(tasks) / MEGABYTE)
    with (
        aws.counting(run.requests),
        aws.counting(run.received, "received"),
        aws.counting(run.sent, "sent"),
    ):
        run.seconds, run.error = work()
    return run


def lithops_runs(aws: LocalAws, jobs: list[Job], way: str, **options: Any) -> list[Run]:
    """Run jobs in one Lithops process."""
    with lithops(aws, **options) as other:
        other.run("noop", SANDBOXES)

        def work(job: Job) -> tuple[float, str]:
            result = other.run(job.name, job.lithops_tasks, job.size)
            return result["seconds"], result.get("error", "")

        return [measure(aws, job, way, job.lithops_tasks, lambda job=job: work(job)) for job in jobs]  # type: ignore[misc]


def result_table(jobs: list[Job], runs: list[Run]) -> str:
    """Return all figures, also relative to the plain copy, as Markdown."""
    rows = []
    for job in jobs:
        rate = {run.way: run.megabytes / run.seconds for run in runs if run.job == job.name}
        for run in (run for run in runs if run.job == job.name):
            cells = [job.text, NAMES.get(run.way, "plain copy"), f"{run.tasks:,}"]
            if run.error:
                rows.append([*cells, run.error, *[""] * 5])
                continue
            cells += [seconds(run.seconds), f"{rate[run.way]:,.1f}", f"{rate[run.way] / rate['copy']:.2f}"]
            cells += [f"{run.moved:,.0f} MB", f"{run.moved / run.megabytes:.2f}", f"{sum(run.requests.values()):,}"]
            rows.append(cells)
    head = ["payload", "way", "tasks", "wall time", "MB/s", "by the copy's", "moved", "by the payload", "requests"]
    return table(head, rows, 2)


def main() -> None:
    options = parser(__doc__, "a hundredth of it, without Lithops").parse_args()
    scale = 100 if options.short else 1
    jobs = [
        Job("closure", "a closure of 100 MB", 200 // scale, 20, 100 * MEGABYTE // scale),
        Job("megabyte", "results of 1 MB", 1000 // scale, 100, MEGABYTE),
        Job("arrays", "ndarrays of 10 kB, doubled", 10_000 // scale, 200, ARRAY * 8),
    ]
    with local_aws() as aws:
        aws.cloud.client("s3").create_bucket(Bucket=BUCKET)
        ways = (("engine", engine), ("edited", functools.partial(engine, edited=True)), ("copy", copy))
        runs = []
        for job in jobs:
            warm(aws, job)
            runs += [
                measure(aws, job, way, job.tasks, lambda job=job, work=work: work(aws, job))  # type: ignore[misc]
                for way, work in ways
                if way != "edited" or job.name == "closure"
            ]
        if not options.short:
            runs += lithops_runs(aws, jobs, "lithops")
            refused = [job for job in jobs if any(run.error for run in runs if run.job == job.name)]
            runs += lithops_runs(aws, refused, "unlimited", data_limit=False) if refused else []
    about = machine("awscrt", "moto", "numpy") | {"sandboxes": SANDBOXES}
    report([result_table(jobs, runs)], [asdict(run) for run in runs], about, options.json)


if __name__ == "__main__":
    main()
