"""The other side: real Lithops in its own Python environment, told by lines of JSON what to run.

Three things are changed in Lithops. Its `invoke()` has a hard-coded endpoint; its other requests follow
`AWS_ENDPOINT_URL`, as with every boto3 client. Its layer is prebuilt with the packages that Lithops lists, because
Lithops would build it with pip in a sandbox, and local sandboxes have no pip. And the process of a task opens its own
connections to S3.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import lithops
from botocore.awsrequest import AWSRequest
from lithops.serverless.backends.aws_lambda import aws_lambda

AVAILABLE = f"python{sys.version_info.major}.{sys.version_info.minor}"


def noop(item: int) -> int:
    """Return something: Lithops loses results that are None."""
    return item


def nap(item: int) -> int:
    import time

    time.sleep(0.05)
    return item


def megabyte(_: int) -> bytes:
    import os

    return os.urandom(1_000_000)


def closure(size: int) -> Callable[[int], int]:
    data = os.urandom(size)

    def measure(_: int) -> int:
        return len(data)

    return measure


def double(array: Any) -> Any:
    return array * 2


def words(obj: Any) -> int:
    """Count the words of a part."""
    return sum(len(line.split()) for line in obj.data_stream.read().splitlines())


def arrays(count: int) -> list[Any]:
    import numpy as np

    return list(np.random.default_rng(0).random((count, 1250)))


def job(name: str, count: int, size: int) -> tuple[Callable[[Any], Any], list[Any]]:
    """Return the function and the items of one job."""
    if name == "closure":
        return closure(size), list(range(count))
    if name == "arrays":
        return double, arrays(count)
    return {"noop": noop, "nap": nap, "megabyte": megabyte}[name], list(range(count))


def redirect(endpoint: str) -> None:
    """Make `invoke()` send to `endpoint`."""

    def request(method: str, url: str, data: str, headers: dict[str, str]) -> AWSRequest:
        headers["Host"] = urlsplit(endpoint).netloc
        return AWSRequest(method=method, url=endpoint + urlsplit(url).path, data=data, headers=headers)

    aws_lambda.AWSRequest = request


def bring_layer(archive: str) -> None:
    """Make Lithops publish `archive` instead of building its layer."""

    def create(self: Any, runtime_name: str) -> Any:
        name, content = self._format_layer_name(runtime_name), {"ZipFile": Path(archive).read_bytes()}
        published = self.lambda_client.publish_layer_version(
            LayerName=name, Content=content, CompatibleRuntimes=[AVAILABLE]
        )
        return published["LayerVersionArn"]

    aws_lambda.AWSLambdaBackend._create_layer = create


def part_connections() -> None:
    """Make the process that Lithops' worker forks for a task open its own connections to S3.

    It inherits the worker's (`worker/handler.py`: `JobRunner(task, jobrunner_conn, internal_storage)`, then `fork`), on
    which the worker sends the task's status at the same time. Without TLS, each then reads replies meant for the other:
    reads time out, and results get lost.
    """
    file = Path(lithops.__file__).with_name("worker") / "jobrunner.py"
    begin = "        self.stats.write('worker_peak_memory_start', peak_memory())\n"
    own = (
        "        from lithops.config import extract_storage_config\n"
        "        from lithops.storage import InternalStorage\n"
        "        self.internal_storage = InternalStorage(extract_storage_config(self.lithops_config))\n"
    )
    text = file.read_text()
    if own not in text:
        file.write_text(text.replace(begin, own + begin))


def run(executor: lithops.FunctionExecutor, name: str, count: int, size: int) -> dict[str, Any]:
    if name == "words":
        function, items, options = words, ["aws_s3://words/text/"], {"obj_chunk_size": size, "obj_newline": "\n"}
    else:
        (function, items), options = job(name, count, size), {}
    began = time.perf_counter()
    total = None
    try:
        results = executor.get_result(executor.map(function, items, **options), throw_except=True)
        if name == "words":
            total = sum(results)
        else:
            assert len(results) == count, f"{len(results)} results of {count} tasks"
    except Exception as error:
        return {"seconds": time.perf_counter() - began, "error": f"{type(error).__name__}: {error}"}
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_rss_mb": memory, "total": total}


def main() -> None:
    setting = json.loads(sys.stdin.readline())
    redirect(setting["endpoint_url"])
    bring_layer(setting["layer"])
    part_connections()
    with lithops.FunctionExecutor(config=setting["config"], log_level="ERROR") as executor:
        for line in sys.stdin:
            # Lithops prints to standard output, so results go to another descriptor.
            os.write(int(sys.argv[1]), json.dumps(run(executor, **json.loads(line))).encode() + b"\n")


if __name__ == "__main__":
    main()
