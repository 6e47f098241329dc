"""What packages cost: building a layer first, again and not at all, and its size with and without trimming.

Building from downloaded wheels is compared with pip: the same versions are installed into a folder, which is zipped.

Sizes are compared with the packages that Lithops puts into its default layer for every function, resolved in the same
way for the same platform, and not trimmed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lithops_magic.packages import Need, Request, Room, Supply, Target, discover, dumps, pin, supply
from lithops_magic.packages.archive import zip_file
from lithops_magic.packages.build import install
from lithops_magic.packages.uv import Uv

LITHOPS = "Lithops' list"
CASES = {
    "numpy": "numpy",
    "numpy, pandas": "pandas",
    "numpy, scikit-learn, pillow": "scikit-learn pillow",
    "numpy, lxml, pydantic": "lxml pydantic",
    "numpy, polars": "polars",
}
BUILT = ("numpy, pandas", "numpy, lxml, pydantic")
ADDED = "idna"
"""A pure package that is installed here."""
SHORT = ("numpy, lxml, pydantic",)
ROOM = Room(tmp=10_240)


@dataclass(frozen=True, slots=True)
class Run:
    """One set of packages."""

    packages: str
    first: float
    """Seconds with empty caches: resolving, downloading, building."""
    again: float
    """Seconds when the layer is gone and what was downloaded is still there."""
    again_cpu: float
    """CPU seconds of that, uv's included."""
    known: float
    """Seconds when the layer is there: pickling the function, finding out what it needs, finding the layer."""
    known_cpu: float
    unzipped: int
    """Bytes as installed; the next four likewise."""
    trimmed: int
    zipped: int
    trimmed_zipped: int


def quiet(_: str) -> None:
    """Progress is not shown."""


def clock(call: Callable[[], object]) -> tuple[float, float]:
    """Return how long a call takes, in seconds and in CPU seconds of this process and its children."""
    began, used = time.perf_counter(), cpu()
    call()
    return time.perf_counter() - began, cpu() - used


def cpu() -> float:
    return sum(os.times()[:4])


@contextmanager
def caches(folder: Path) -> Iterator[None]:
    """Use empty caches, as if nothing had ever been downloaded or built."""
    os.environ["LITHOPS_MAGIC_CACHE_DIR"] = str(folder / "layers")
    os.environ["UV_CACHE_DIR"] = str(folder / "uv")
    yield
    del os.environ["LITHOPS_MAGIC_CACHE_DIR"], os.environ["UV_CACHE_DIR"]


def measure(name: str, words: Iterable[str], target: Target) -> Run:
    """Provide a function that uses numpy, and asks for `words`, with what it needs."""
    request = Request.parse(words)

    def function(x: float) -> float:
        return float(np.sqrt(x))

    def provide() -> Supply:
        return supply(discover(dumps(function)[1], [1.0], request), target, quiet, ROOM)

    with tempfile.TemporaryDirectory() as scratch, caches(Path(scratch)):
        first, _ = clock(provide)
        os.environ["LITHOPS_MAGIC_CACHE_DIR"] = str(Path(scratch) / "other layers")
        again, again_cpu = clock(provide)
        known, _ = min(clock(provide) for _ in range(5))
        _, known_cpu = clock(lambda: [provide() for _ in range(20)])
        built = provide().built
        unzipped, zipped = untrimmed(discover(dumps(function)[1], [1.0], request), target, Path(scratch))
    trimmed = [sum(layer.unzipped for layer in built), sum(layer.size for layer in built)]
    return Run(name, first, again, again_cpu, known, known_cpu / 20, unzipped, trimmed[0], zipped, trimmed[1])


def untrimmed(need: Need, target: Target, scratch: Path) -> tuple[int, int]:
    """Install the same versions without trimming; return their sizes unzipped and zipped."""
    folder = scratch / "python"
    folder.mkdir()
    install(pin(need, target), Uv(target), folder, quiet)
    files = [(path.relative_to(scratch).as_posix(), path) for path in folder.rglob("*") if path.is_file()]
    zip_file(scratch / "zip", files)
    return sum(path.stat().st_size for _, path in files), (scratch / "zip").stat().st_size


@dataclass(frozen=True, slots=True)
class Build:
    """The cost of building a layer from downloaded wheels, ours and pip's."""

    packages: str
    ours: float
    """CPU seconds, including uv's; wall time depends on what else the machine does."""
    pips: float
    """CPU seconds of `pip install --target` of the same versions from pip's cache, and of zipping that with zlib."""
    added: float
    """Seconds until there are layers with one pure package more."""
    added_cpu: float


def build_beside_pip(name: str, words: list[str], target: Target) -> Build:
    """Build layers of `words`, have pip do the same, and add one pure package to ours."""

    def function(x: float) -> float:
        return float(np.sqrt(x))

    def need(*more: str) -> Need:
        return discover(dumps(function)[1], [1.0], Request.parse([*words, *more]))

    def provide(*more: str) -> Supply:
        return supply(need(*more), target, quiet, ROOM)

    with tempfile.TemporaryDirectory() as scratch, caches(Path(scratch)):
        provide()
        ours = []
        for number in range(3):
            os.environ["LITHOPS_MAGIC_CACHE_DIR"] = str(Path(scratch) / f"layers {number}")
            ours.append(clock(provide)[1])
        added, added_cpu = clock(lambda: provide(ADDED))
        found = pin(need(), target)
        pins = [*found.fetched.values(), *(part.pin for part in found.copied)]
        pip_s(pins, target, Path(scratch) / "warm")
        pips = min(clock(lambda to=Path(scratch) / f"pip {number}": pip_s(pins, target, to))[1] for number in range(3))
    return Build(name, min(ours), pips, added, added_cpu)


def pip_s(pins: list[str], target: Target, folder: Path) -> None:
    """Install and zip as one would by hand."""
    tags = [f"manylinux_2_{minor}_{target.machine}" for minor in (26, 24, 17)] + [f"manylinux2014_{target.machine}"]
    platforms = [text for tag in tags for text in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", *platforms, "--python-version", target.python]
    cache = ["--cache-dir", str(folder.parent / "pip cache")]
    subprocess.run([*command, *cache, "--target", str(folder / "python"), *pins], check=True)
    shutil.make_archive(str(folder), "zip", folder)


def builds_table(builds: list[Build]) -> str:
    head = "| packages | CPU, ours | CPU, pip and zip | ratio | one pure package more | CPU |"
    lines = [head, f"| --- |{' ---: |' * 5}"]
    for one in builds:
        cells = [one.packages, f"{one.ours:.1f} s", f"{one.pips:.1f} s", f"{one.ours / one.pips:.2f}"]
        lines.append(f"| {' | '.join([*cells, f'{one.added:.2f} s', f'{one.added_cpu:.2f} s'])} |")
    return "\n".join(lines)


def lithops_packages() -> list[str]:
    from lithops.serverless.backends.aws_lambda.config import DEFAULT_REQUIREMENTS

    return list(DEFAULT_REQUIREMENTS)


def table(runs: list[Run]) -> str:
    """Return the runs as Markdown; the last ratio is to the zip of what Lithops ships."""
    theirs = runs[-1].zipped
    sizes = "unzipped | trimmed | ratio | zipped | trimmed | ratio"
    lines = [f"| packages | first | again | CPU | known | CPU | {sizes} | by Lithops' |", f"| --- |{' ---: |' * 12}"]
    for run in runs:
        cells = [run.packages, f"{run.first:.1f} s", f"{run.again:.1f} s", f"{run.again_cpu:.1f} s"]
        cells += [f"{run.known * 1e3:.0f} ms", f"{run.known_cpu * 1e3:.0f} ms"]
        for before, after in ((run.unzipped, run.trimmed), (run.zipped, run.trimmed_zipped)):
            cells += [f"{before / 2**20:.1f} MB", f"{after / 2**20:.1f} MB", f"{after / before:.2f}"]
        lines.append(f"| {' | '.join([*cells, f'{run.trimmed_zipped / theirs:.2f}'])} |")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    packages = {name: version(name) for name in ("lithops-magic", "lithops", "uv")}
    return {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version(), **packages}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a smoke test: two small packages, and Lithops' list")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every run to FILE")
    options = parser.parse_args()
    target = Target.of("x86_64")
    cases = {name: words for name, words in CASES.items() if not options.short or name in SHORT}
    runs = [measure(name, words.split(), target) for name, words in cases.items()]
    runs.append(measure(LITHOPS, lithops_packages(), target))
    builds = [build_beside_pip(name, cases[name].split(), target) for name in BUILT if name in cases]
    about = machine()
    print(table(runs))
    print(f"\n{builds_table(builds)}")
    print(f"\nFor {target.describe()}. {', '.join(f'{key} {value}' for key, value in about.items())}")
    if options.json:
        options.json.write_text(
            json.dumps(
                {"machine": about, "runs": [asdict(run) for run in runs], "builds": [asdict(one) for one in builds]},
                indent=2,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
