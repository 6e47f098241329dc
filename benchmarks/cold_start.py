"""What a sandbox has to unpack and import before its first task: our worker, an empty handler and real Lithops.

All are functions of the same local AWS, started cold in turns. The times are the `Init Duration` of their REPORT lines,
which includes the interpreter and its runtime, so what counts is the difference from the empty handler.

Then the cost of importing packages: CPU seconds of a process that imports one from its unpacked layers, as they are,
without their bytecode, and with the bytecode of every module, the theoretical minimum. As in `/opt`, Python cannot
write bytecode beside the sources.
"""

from __future__ import annotations

import base64
import io
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common import LITHOPS, LocalAws, lithops, local_aws, machine, parser, report, table

NAMES = {"empty": "empty handler", "engine": "lithops-magic", "lithops": f"Lithops {LITHOPS}"}


IMPORTS = {
    "numpy": "import numpy",
    "pandas": "import pandas",
    "scipy": "import scipy.stats",
    "scikit-learn": "import sklearn.linear_model",
    "matplotlib": "import matplotlib.pyplot",
}
SHORT = ("numpy",)


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
    """Return a deployed function with the sizes of its zip and layers."""
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
    """End all sandboxes of a function, invoke it, and record how long the new one took to start."""
    client = aws.cloud.client("lambda")
    # Any change of a function's configuration ends its sandboxes.
    client.update_function_configuration(FunctionName=function.name, Description=f"turn {turn}")
    client.get_waiter("function_updated_v2").wait(FunctionName=function.name, WaiterConfig={"Delay": 1})
    reply: Any = client.invoke(FunctionName=function.name, Payload=b"{}", LogType="Tail")
    log = base64.b64decode(reply["LogResult"]).decode()
    function.init_ms.append(float(log.rpartition("Init Duration: ")[2].partition(" ")[0]))


def result_table(functions: list[Function]) -> str:
    """Return the times, and by how much they exceed the empty handler's, as Markdown."""
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


@dataclass
class Imported:
    package: str
    statement: str
    sizes: tuple[int, int, int]
    """Bytes of the zips without bytecode, as shipped, and with all of it."""
    cpu: tuple[list[float], list[float], list[float]] = field(default_factory=lambda: ([], [], []))


def imported(package: str, times: int) -> Imported:
    """Import a package from its layers, in turns in each of their three forms."""
    import cloudpickle

    from lithops_magic.packages import Request, Room, Target, discover, dumps, supply

    need = discover(dumps(abs)[1], [], Request.parse([package]))
    built = supply(need, Target.of("x86_64"), lambda _: None, Room()).built
    with tempfile.TemporaryDirectory() as scratch:
        shipped = Path(scratch, "shipped")
        for layer in built:
            shutil.unpack_archive(layer.path, shipped)
        bare = shutil.copytree(shipped, Path(scratch, "bare"), ignore=shutil.ignore_patterns("__pycache__"))
        full = shutil.copytree(bare, Path(scratch, "full"))
        command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", full]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        # Part of every function: the worker brings it.
        shutil.copytree(Path(cloudpickle.__file__).parent, Path(scratch, "worker", "cloudpickle"))
        forms = (bare, shipped, full)
        found = Imported(package, IMPORTS[package], (zipped(bare), sum(one.size for one in built), zipped(full)))
        for _ in range(times):
            for form, taken in zip(forms, found.cpu, strict=True):
                taken.append(cpu_of(found.statement, form) - cpu_of("pass", form))
    return found


def zipped(folder: Path) -> int:
    from lithops_magic.packages.archive import zip_file

    files = [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()]
    zip_file(folder.with_suffix(".zip"), files)
    return folder.with_suffix(".zip").stat().st_size


def cpu_of(statement: str, folder: Path) -> float:
    """Return the CPU seconds of a Python process that runs `statement`."""
    environment = {"PYTHONPATH": os.pathsep.join((str(folder / "python"), str(folder.parent / "worker")))}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath}
    environment |= {"MPLCONFIGDIR": tempfile.gettempdir(), "OPENBLAS_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-S", "-s", "-c", statement], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def import_table(found: list[Imported]) -> str:
    head = [
        "import",
        "without bytecode",
        "as shipped",
        "with all",
        "to all",
        "zip without",
        "as shipped",
        "ratio",
        "with all",
    ]
    rows = []
    for one in found:
        bare, shipped, full = (min(taken) for taken in one.cpu)
        cells = [*(f"{value:.2f} s" for value in (bare, shipped, full)), f"{shipped / full:.2f}"]
        sizes = [f"{size / 1e6:.1f} MB" for size in one.sizes]
        rows.append([f"`{one.statement}`", *cells, *sizes[:2], f"{one.sizes[1] / one.sizes[0]:.2f}", sizes[2]])
    return table(head, rows)


def main() -> None:
    arguments = parser(__doc__, "3 cold starts each, without Lithops; one package")
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
    packages = SHORT if options.short else tuple(IMPORTS)
    found = [imported(package, 2 if options.short else 7) for package in packages]
    runs = [asdict(one) for one in (*functions, *found)]
    report([text, import_table(found)], runs, machine("awslambdaric"), options.json)


if __name__ == "__main__":
    main()
