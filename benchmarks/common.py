"""Shared by the benchmarks: a private local AWS, real Lithops, list prices, tables and JSON."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

SANDBOXES = 8
"""Sandboxes of the local AWS, the same for all ways; more would only share the cores."""
CONCURRENCY = 1000
"""As in an ordinary account: with the local AWS's default, its number of sandboxes, a plain loop would be throttled."""
LITHOPS = "3.8.0"

PRICES = {"Invoke": 0.20e-6, "PutObject": 5e-6, "ListObjectsV2": 5e-6, "ListObjects": 5e-6}
"""USD per request at list price, us-east-1."""
GETS = 0.4e-6
"""USD of S3's other requests; deletions and the control plane are free."""


def parser(text: str | None, short: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--short", action="store_true", help=f"a smoke test of a few seconds: {short}")
    made.add_argument("--json", type=Path, metavar="FILE", help="also write every figure to FILE")
    return made


def machine(*packages: str) -> dict[str, Any]:
    """Return what the figures depend on."""
    model = next((line for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")), ":")
    return {
        "cores": os.cpu_count(),
        "processor": model.partition(":")[2].strip() or platform.processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("lithops-magic", "boto3", *packages)},
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def report(tables: Sequence[str], runs: Any, about: dict[str, Any], file: Path | None) -> None:
    """Print the tables and the machine; write everything to `file`."""
    print("\n\n".join(tables))
    print(
        "\n" + time.strftime("Measured %Y-%m-%d: ") + ", ".join(f"{key} {value}" for key, value in about.items()) + "."
    )
    if file:
        file.write_text(json.dumps({"machine": about, "runs": runs}, indent=2) + "\n")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table; the first `left` columns are flush left."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def seconds(value: float) -> str:
    return f"{value * 1000:,.1f} ms" if value < 1 else f"{value:,.2f} s"


def operations(requests: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name.partition(':')[2]}" for name, count in sorted(requests.items())) or "none"


def request_cost(requests: dict[str, int]) -> float:
    """Return USD at list price."""
    return sum(count * _price(*name.split(":")) for name, count in requests.items())


def _price(service: str, operation: str) -> float:
    return PRICES.get(operation, GETS if service == "s3" and not operation.startswith("Delete") else 0.0)


class LocalAws:
    """A running local AWS, its administrator's clients and its count of requests."""

    def __init__(self) -> None:
        from lithops_magic import config
        from lithops_magic.aws.deploy.role import role_arn
        from lithops_magic.aws.local_server import ensure_local_aws
        from lithops_magic.aws.session import Cloud

        self.settings = config.load(local=True)
        self.cloud = Cloud.connect(self.settings)
        self.role = role_arn(self.cloud, self.settings)
        self.server = ensure_local_aws(lambda _: None)

    def ask(self, path: str) -> dict[str, Any]:
        headers = {"x-local-secret": self.server.secret_access_key}
        asked = urllib.request.Request(f"{self.server.endpoint_url}/_local/{path}", headers=headers)
        with urllib.request.urlopen(asked) as reply:
            answer: dict[str, Any] = json.load(reply)
        return answer

    @contextmanager
    def counting(self, counts: dict[str, int], what: str = "requests") -> Iterator[None]:
        """Add the requests made meanwhile, the sandboxes' own included, to `counts`.

        `what` may also be the bytes of their bodies that were "received" by AWS, or "sent".
        """
        before = self._counts(what)
        yield
        counts.update(self._counts(what) - before)

    def _counts(self, what: str) -> Counter[str]:
        return Counter(self.ask("requests") if what == "requests" else self.ask("traffic")[what])


@contextmanager
def local_aws(sandboxes: int = SANDBOXES) -> Iterator[LocalAws]:
    """Start a local AWS for one benchmark: nothing is deployed, and no sandbox runs."""
    command = [sys.executable, "-m", "lithops_magic.local"]
    for name in [name for name in os.environ if name.startswith(("AWS_", "LITHOPS_")) and "CACHE" not in name]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LITHOPS_MAGIC_LOCAL_DIR"] = folder
        options = [f"--workers={sandboxes}", f"--concurrency={CONCURRENCY}"]
        subprocess.run([*command, "ensure", *options], check=True, stdout=subprocess.DEVNULL)
        try:
            yield LocalAws()
        finally:
            subprocess.run([*command, "stop"], check=True, stdout=subprocess.DEVNULL)


class Lithops:
    """Real Lithops in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], answers: Any) -> None:
        self._process = process
        self._answers = answers

    def run(self, name: str, count: int, size: int = 0) -> dict[str, Any]:
        """Run a job of `lithops_side.py`; return its seconds, data generation excluded, and its error if it failed."""
        self._tell({"name": name, "count": count, "size": size})
        line = self._answers.readline()
        if not line:
            raise SystemExit("Lithops ended; see its error above")
        result: dict[str, Any] = json.loads(line)
        return result

    def _tell(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()


@contextmanager
def lithops(aws: LocalAws, **options: Any) -> Iterator[Lithops]:
    """Start Lithops on `aws`, with the memory of our functions, in an empty home and working folder.

    `options` go into the section `lithops` of its configuration.
    """
    home, server = _lithops_home(), aws.server
    config = {
        "lithops": {"backend": "aws_lambda", "storage": "aws_s3", **options},
        "aws": {
            "region": server.region,
            "access_key_id": server.access_key_id,
            "secret_access_key": server.secret_access_key,
        },
        "aws_lambda": {"execution_role": aws.role, "runtime_memory": aws.settings.memory},
    }
    side = Path(__file__).with_name("lithops_side.py")
    answers, theirs = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HOME": folder, "AWS_ENDPOINT_URL": server.endpoint_url}
        command = [str(home / "bin" / "python"), str(side), str(theirs)]
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.PIPE, stdout=sys.stderr, text=True, pass_fds=[theirs]
        )
        os.close(theirs)
        with process, os.fdopen(answers) as lines:
            made = Lithops(process, lines)
            made._tell({"endpoint_url": server.endpoint_url, "config": config, "layer": str(home / "layer.zip")})
            try:
                yield made
            finally:
                process.terminate()


def _lithops_home() -> Path:
    """Return a folder with a Python environment that has only Lithops, and with Lithops' layer; created once."""
    from uv import find_uv_bin

    here = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = Path(tempfile.gettempdir()) / f"lithops-magic-bench-{getpass.getuser()}" / f"lithops-{LITHOPS}-{here}"
    if (folder / "layer.zip").exists():
        return folder
    python, packages = folder / "bin" / "python", folder / "layer" / "python"
    uv, install = find_uv_bin(), ["pip", "install", "-q", f"--python={python}"]
    subprocess.run([uv, "venv", "-q", "--clear", f"--python={sys.executable}", folder], check=True)
    subprocess.run([uv, *install, f"lithops[aws]=={LITHOPS}", "numpy"], check=True)
    tell = "from lithops.serverless.backends.aws_lambda.config import DEFAULT_REQUIREMENTS as r; print(*r, sep='\\n')"
    listed = subprocess.run([python, "-c", tell], check=True, capture_output=True, text=True).stdout.splitlines()
    subprocess.run([uv, *install, f"--target={packages}", *listed], check=True)
    shutil.make_archive(str(folder / "partial"), "zip", folder / "layer")
    (folder / "partial.zip").rename(folder / "layer.zip")
    return folder


def median(work: Callable[[], None], times: int) -> float:
    """Return the median seconds that `work` takes."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
