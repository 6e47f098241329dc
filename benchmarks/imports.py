"""Whether trimmed packages can still be imported: every top-level module of popular distributions, in a sandbox.

Each distribution is shipped alone, with its requirements, to a local AWS, where a task imports its modules one by one.
A module counts as broken if it can be imported here but not there. Distributions that are not installed are left out;
``--install`` prints the command that installs all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

DISTRIBUTIONS = [
    *("altair", "astropy", "beautifulsoup4", "biopython", "bokeh", "bottleneck", "cftime"),
    *("cvxpy", "dask", "duckdb", "emcee", "fastparquet", "geopandas", "h5py"),
    *("highspy", "imageio", "jax", "joblib", "lightgbm", "lmfit", "lxml"),
    *("matplotlib", "mesa", "netCDF4", "networkx", "nltk", "numba", "numexpr"),
    *("numpy", "onnx", "onnxruntime", "opencv-python-headless", "openpyxl", "ortools", "pandas"),
    *("patsy", "pillow", "pint", "plotly", "polars", "pulp", "pyarrow"),
    *("pydantic", "pyproj", "PyWavelets", "QuantLib", "rasterio", "rdkit", "requests"),
    *("scikit-image", "scikit-learn", "scipy", "seaborn", "shapely", "simpy", "spacy"),
    *("sqlalchemy", "statsmodels", "sympy", "tables", "tifffile", "tqdm", "uncertainties"),
    *("xarray", "xgboost-cpu", "zarr"),
]
LIMIT = 300
"""Seconds for one distribution."""


def modules(name: str) -> list[str]:
    """Return the top-level modules of a distribution that have a public name."""
    tops = {path.parts[0] for path in distribution(name).files or () if path.suffix in (".py", ".so")}
    plain = {top.partition(".")[0] for top in tops if "-" not in top and not top.endswith(".libs")}
    return sorted(top for top in plain if top.isidentifier() and not top.startswith("_") and top != "bin")


def attempt(names: list[str]) -> dict[str, str]:
    """Import modules, and return the error of each; empty if there was none."""
    found = {}
    for name in names:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                importlib.import_module(name)
            found[name] = ""
        except BaseException as error:
            found[name] = f"{type(error).__name__}: {error}"[:200]
    return found


def run(name: str) -> dict[str, Any]:
    """Import the modules of one distribution there and here."""
    import cloudpickle

    import lithops_magic

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    began = time.perf_counter()
    [there] = lithops_magic.map(attempt, [modules(name)], packages=name, memory=2048, tmp=4096).values()
    seconds = time.perf_counter() - began
    here = attempt(modules(name))
    broken = {module: there[module] for module in there if there[module] and not here[module]}
    return {
        "modules": sorted(there),
        "broken": broken,
        "neither": sorted(m for m in here if here[m]),
        "seconds": seconds,
    }


def measure(name: str) -> dict[str, Any]:
    """Run one distribution in its own process."""
    try:
        version = distribution(name).version
    except PackageNotFoundError:
        return {"skipped": "not installed"}
    try:
        command = [sys.executable, __file__, "--child", name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return {"version": version, "error": f"no result after {LIMIT} s"}
    if done.returncode:
        return {"version": version, "error": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"version": version, **figures}


def table(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield "| distribution | version | modules | broken by us |"
    yield "| --- | --- | --- | --- |"
    for name, figures in found.items():
        if "skipped" not in figures:
            said = figures.get("error") or "; ".join(f"{module}: {why}" for module, why in figures["broken"].items())
            listed = ", ".join(figures.get("modules", ()))
            neither = f" (not here either: {', '.join(figures['neither'])})" if figures.get("neither") else ""
            yield f"| {name} | {figures['version']} | {listed}{neither} | {(said or '–').replace('|', '/')} |"


def main() -> None:
    """Run what is asked for, and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", choices=DISTRIBUTIONS, metavar="NAME", help="only these distributions")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write each figure to FILE at once")
    options.add_argument("--install", action="store_true", help="print the command that installs all of them")
    options.add_argument("--child", choices=DISTRIBUTIONS, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        print(json.dumps(run(given.child)))
        return
    if given.install:
        print("uv pip install", *DISTRIBUTIONS)
        return
    found: dict[str, dict[str, Any]] = {}
    for name in given.only or DISTRIBUTIONS:
        found[name] = measure(name)
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
        if given.json:
            given.json.write_text(json.dumps(found, indent=1))
    print("\n".join(table(found)))
    if any(figures.get("broken") or figures.get("error") for figures in found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
