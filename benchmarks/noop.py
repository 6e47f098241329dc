"""Time 1, 100 and 1,000 tasks that do nothing, through the engine and through a plain boto3 loop, on the local AWS.

The local AWS is this benchmark's own, so that *cold* is cold: no function deployed and no sandbox running.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

THREADS = 64
"""Of the plain loop: more than that is rarely written by hand."""


@dataclass(frozen=True)
class Run:
    tasks: int
    start: str
    """`cold`: nothing deployed yet, deployment included; `warm`: the same again."""
    way: str
    seconds: float
    requests: dict[str, int]
    """By operation, counted at the endpoint."""
    request_cost: float
    """USD at list price; only Invoke has one."""


class Bench:
    """One local AWS and what is asked of it."""

    def __init__(self) -> None:
        from lithops_magic import config
        from lithops_magic.aws.role import execution_role
        from lithops_magic.aws.session import Cloud

        self.settings = config.load(local=True)
        self.cloud = Cloud.connect(self.settings)
        self.role = execution_role(self.cloud, self.settings)

    def requests(self) -> Counter[str]:
        from lithops_magic.aws.local import ensure_local_aws

        secret = ensure_local_aws(lambda _: None).secret_access_key
        asked = urllib.request.Request(f"{self.cloud.endpoint_url}/_local/requests", headers={"x-local-secret": secret})
        with urllib.request.urlopen(asked) as reply:
            return Counter(json.load(reply))

    def measure(self, tasks: int, start: str, way: str, work: Callable[[], None]) -> Run:
        from lithops_magic.aws.prices import REQUEST_PRICE

        before = self.requests()
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        requests = self.requests() - before
        return Run(tasks, start, way, seconds, dict(requests), requests["lambda:Invoke"] * REQUEST_PRICE)

    def engine(self, tasks: int) -> list[Run]:
        """What `%%lambda_map` calls, first on a function that is not there."""
        from lithops_magic.aws.function import delete_functions
        from lithops_magic.engine import MapOptions, start

        def work() -> None:
            result = start(noop, range(tasks), options=MapOptions(), settings=self.settings)
            result.wait()
            result.raise_errors()
            assert len(result.values()) == tasks

        delete_functions(self.cloud, self.settings)
        return [self.measure(tasks, start, "lithops-magic", work) for start in ("cold", "warm")]

    def loop(self, tasks: int) -> list[Run]:
        """What one writes by hand: create the function, wait, invoke from a thread pool."""
        from botocore.config import Config

        client = self.cloud.client("lambda", Config(max_pool_connections=THREADS))
        name = f"plain-{tasks}"

        def invoke(item: int) -> None:
            reply = client.invoke(FunctionName=name, Payload=json.dumps(item).encode())
            assert reply["StatusCode"] == 200
            assert reply["Payload"].read() == b"null"

        def work() -> None:
            with ThreadPoolExecutor(THREADS) as pool:
                assert len(list(pool.map(invoke, range(tasks)))) == tasks

        def deploy_and_work() -> None:
            client.create_function(
                FunctionName=name,
                Role=self.role,
                Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
                Handler="plain.handle",
                Code={"ZipFile": plain_zip()},
                MemorySize=self.settings.memory,
            )
            client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
            work()

        runs = [
            self.measure(tasks, "cold", "boto3 loop", deploy_and_work),
            self.measure(tasks, "warm", "boto3 loop", work),
        ]
        client.delete_function(FunctionName=name)
        return runs


def noop(item: int) -> None:
    """Do nothing, remotely."""


def plain_zip() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("plain.py", "def handle(event, context):\n    return None\n")
    return archive.getvalue()


def table(runs: list[Run]) -> str:
    """The runs as Markdown, ours beside the loop's and as a ratio."""
    lines = [
        "| tasks | start | lithops-magic | boto3 loop | ratio | requests | loop's requests | request cost | loop's |",
        "| ---: | --- | ---: | ---: | ---: | --- | --- | ---: | ---: |",
    ]
    loops = {(run.tasks, run.start): run for run in runs if run.way == "boto3 loop"}
    for run in runs:
        if run.way == "lithops-magic":
            loop = loops[run.tasks, run.start]
            cells = [f"{run.tasks:,}", run.start, f"{run.seconds:.2f} s", f"{loop.seconds:.2f} s"]
            cells += [f"{run.seconds / loop.seconds:.2f}", operations(run), operations(loop)]
            cells += [f"${run.request_cost:.7f}", f"${loop.request_cost:.7f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def operations(run: Run) -> str:
    return ", ".join(f"{count:,} {name.partition(':')[2]}" for name, count in sorted(run.requests.items()))


def machine() -> dict[str, Any]:
    packages = {name: version(name) for name in ("lithops-magic", "boto3", "awslambdaric", "moto")}
    return {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version(), **packages}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every run to FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LITHOPS_MAGIC_LOCAL_DIR"] = folder
        local = [sys.executable, "-m", "lithops_magic.local"]
        # As an account has it: by its own default, the number of cores, the plain loop would be throttled.
        subprocess.run([*local, "ensure", "--concurrency=1000"], check=True, stdout=subprocess.DEVNULL)
        try:
            bench = Bench()
            bench.loop(1)  # what the server does only once is nobody's
            runs = [run for tasks in options.tasks for way in (bench.loop, bench.engine) for run in way(tasks)]
        finally:
            subprocess.run([*local, "stop"], check=True, stdout=subprocess.DEVNULL)
    about = machine()
    print(table(runs))
    print("\n" + ", ".join(f"{key} {value}" for key, value in about.items()))
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "runs": [asdict(run) for run in runs]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
