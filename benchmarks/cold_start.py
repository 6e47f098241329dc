"""What a sandbox has to unpack and import before its first task: our worker, an empty handler and real Lithops.

All are functions of the same local AWS, started cold in turns; the times are the `Init Duration` of their REPORT lines,
the interpreter and its runtime included, so what counts is the difference to the empty handler.
"""

from __future__ import annotations

import base64
import io
import statistics
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from common import LITHOPS, LocalAws, lithops, local_aws, machine, parser, report, table

NAMES = {"empty": "empty handler", "engine": "lithops-magic", "lithops": f"Lithops {LITHOPS}"}


@dataclass
class Function:
    way: str
    name: str
    code: int
    """Bytes of its zip."""
    layers: int
    """Bytes of its layers."""
    init_ms: list[float] = field(default_factory=list)


def described(aws: LocalAws, way: str, name: str) -> Function:
    """A deployed function and the size of what it consists of."""
    configuration = aws.cloud.client("lambda").get_function(FunctionName=name)["Configuration"]
    layers = sum(layer["CodeSize"] for layer in configuration.get("Layers", []))
    return Function(way, name, configuration["CodeSize"], layers)


def empty(aws: LocalAws) -> str:
    """Deploy a handler that does nothing."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("plain.py", "def handle(event, context):\n    return None\n")
    client = aws.cloud.client("lambda")
    client.create_function(
        FunctionName="empty",
        Role=aws.role,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Handler="plain.handle",
        Code={"ZipFile": archive.getvalue()},
        MemorySize=aws.settings.memory,
    )
    client.get_waiter("function_active_v2").wait(FunctionName="empty", WaiterConfig={"Delay": 1})
    return "empty"


def engine(aws: LocalAws) -> str:
    """Deploy our worker."""
    from lithops_magic.aws.deploy.function import deploy
    from lithops_magic.engine.backend.deployment_package import worker_package

    return deploy(aws.cloud, aws.settings, worker_package(), lambda _: None).name


@contextmanager
def real_lithops(aws: LocalAws) -> Iterator[str]:
    """Let Lithops deploy its worker."""
    with lithops(aws) as other:
        other.run("noop", 1)
        names = [made["FunctionName"] for made in aws.cloud.client("lambda").list_functions()["Functions"]]
        yield next(name for name in names if "lithops-worker" in name)


def start_cold(aws: LocalAws, function: Function, turn: int) -> None:
    """Invoke a function whose sandboxes were all ended, and note how long the new one took."""
    client = aws.cloud.client("lambda")
    # Any change of a function's configuration ends its sandboxes.
    client.update_function_configuration(FunctionName=function.name, Description=f"turn {turn}")
    client.get_waiter("function_updated_v2").wait(FunctionName=function.name, WaiterConfig={"Delay": 1})
    reply: Any = client.invoke(FunctionName=function.name, Payload=b"{}", LogType="Tail")
    log = base64.b64decode(reply["LogResult"]).decode()
    function.init_ms.append(float(log.rpartition("Init Duration: ")[2].partition(" ")[0]))


def result_table(functions: list[Function]) -> str:
    """Each time beside the empty handler's."""
    base = statistics.median(functions[0].init_ms)
    rows = [
        [
            NAMES[function.way],
            f"{function.code / 1000:,.1f} kB",
            f"{function.layers / 1000:,.1f} kB",
            f"{statistics.median(function.init_ms):,.0f} ms",
            f"{statistics.median(function.init_ms) - base:+,.0f} ms",
            f"{len(function.init_ms)}",
        ]
        for function in functions
    ]
    return table(["function", "its zip", "its layers", "median init", "above the empty", "cold starts"], rows)


def measure(aws: LocalAws, functions: list[Function], times: int) -> str:
    """Start all of them cold, in turns."""
    for turn in range(times):
        for function in functions:
            start_cold(aws, function, turn)
    return result_table(functions)


def main() -> None:
    arguments = parser(__doc__, "3 cold starts each, without Lithops")
    arguments.add_argument("--times", type=int, default=30, help="cold starts of each")
    options = arguments.parse_args()
    with local_aws() as aws:
        functions = [described(aws, "empty", empty(aws)), described(aws, "engine", engine(aws))]
        if options.short:
            text = measure(aws, functions, 3)
        else:
            with real_lithops(aws) as name:
                functions.append(described(aws, "lithops", name))
                text = measure(aws, functions, options.times)
    report([text], [asdict(function) for function in functions], machine("awslambdaric"), options.json)


if __name__ == "__main__":
    main()
