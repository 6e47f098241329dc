"""Typical parallel workloads of notebooks, each with the packages it uses: whether it works, and how long it takes.

Every workload runs in its own process, over two items on a local AWS, and its values are compared with those of a plain
loop in the same process. `first` has neither a layer nor a function; `again` has both. Workloads whose packages are not
installed are skipped; ``--install`` prints the command that installs all packages.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Workload = Callable[[int], object]
WORKLOADS: dict[str, tuple[str, Workload]] = {}
"""The distributions each uses, separated by spaces, and the function that runs on every item."""
SHORT = ("numpy", "networkx layout", "bs4 with lxml")
LIMIT = 900
"""Seconds for one workload, both runs."""


def workload(name: str, packages: str) -> Callable[[Workload], Workload]:
    """Add a workload."""

    def add(function: Workload) -> Workload:
        WORKLOADS[name] = packages, function
        return function

    return add


@workload("numpy", "numpy")
def _numpy(x: int) -> object:
    import numpy as np

    return float(np.linalg.norm(np.random.default_rng(x).normal(size=(50, 50))))


@workload("scipy", "scipy")
def _scipy(x: int) -> object:
    from scipy import integrate, optimize

    return round(integrate.quad(lambda t: t**x, 0, 1)[0] + optimize.brentq(lambda t: t - 0.5, 0, 1), 9)


@workload("scikit-learn", "scikit-learn")
def _sklearn(x: int) -> object:
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    data = load_iris(return_X_y=True)
    return float(RandomForestClassifier(10, random_state=x).fit(*data).score(*data))


@workload("scikit-learn to pandas", "scikit-learn pandas")
def _sklearn_pandas(x: int) -> object:
    from sklearn.preprocessing import StandardScaler

    return list(StandardScaler().set_output(transform="pandas").fit_transform([[x], [x + 2]]).columns)


@workload("pandas parquet", "pandas pyarrow")
def _parquet(x: int) -> object:
    import io

    import pandas as pd

    buffer = io.BytesIO()
    pd.DataFrame({"a": [x]}).to_parquet(buffer)
    return int(pd.read_parquet(buffer).a[0])


@workload("pandas excel", "pandas openpyxl")
def _excel(x: int) -> object:
    import io

    import pandas as pd

    buffer = io.BytesIO()
    pd.DataFrame({"a": [x]}).to_excel(buffer)
    return int(pd.read_excel(buffer).a[0])


@workload("pandas html", "pandas lxml")
def _html(x: int) -> object:
    import io

    import pandas as pd

    return int(pd.read_html(io.StringIO(f"<table><tr><th>a</th></tr><tr><td>{x}</td></tr></table>"))[0].a[0])


@workload("pandas plot", "pandas matplotlib")
def _plot(x: int) -> object:
    import pandas as pd

    return len(pd.DataFrame({"a": [x, 2]}).plot().get_lines())


@workload("scikit-image", "scikit-image")
def _skimage(x: int) -> object:
    from skimage import data, filters

    return round(float(filters.sobel(data.camera()).mean()) + x, 9)


@workload("opencv", "opencv-python-headless")
def _opencv(x: int) -> object:
    import cv2
    import numpy as np

    return int(cv2.GaussianBlur(np.full((9, 9), x, np.uint8), (3, 3), 0).sum())


@workload("pillow", "pillow")
def _pillow(x: int) -> object:
    from PIL import Image

    return Image.new("RGB", (10, 10), (x, 0, 0)).resize((5, 5)).getpixel((1, 1))


@workload("rasterio", "rasterio")
def _rasterio(x: int) -> object:
    import rasterio.transform

    return list(rasterio.transform.from_origin(x, 1, 2, 3))


@workload("geopandas", "geopandas")
def _geopandas(x: int) -> object:
    import geopandas
    from shapely.geometry import Point

    frame = geopandas.GeoDataFrame(geometry=[Point(x, 1)], crs="EPSG:4326").to_crs("EPSG:3857")
    return round(float(frame.geometry.x.iloc[0]), 6)


@workload("biopython", "biopython")
def _bio(x: int) -> object:
    from Bio.Seq import Seq

    return str(Seq("ATGC" * 3 + "A" * x).reverse_complement())


@workload("nltk", "nltk")
def _nltk(x: int) -> object:
    from nltk.stem import PorterStemmer

    return PorterStemmer().stem(["running", "flies"][x])


@workload("bs4 with lxml", "beautifulsoup4 lxml")
def _soup(x: int) -> object:
    from bs4 import BeautifulSoup

    return BeautifulSoup(f"<p>{x}</p>", "lxml").p.text


@workload("QuantLib", "QuantLib")
def _quantlib(x: int) -> object:
    import QuantLib as ql

    return str(ql.Date(1, 1, 2030) + x)


@workload("ortools", "ortools")
def _ortools(x: int) -> object:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    number = model.new_int_var(0, 10 + x, "n")
    model.maximize(number)
    solver = cp_model.CpSolver()
    solver.solve(model)
    return solver.value(number)


@workload("pulp", "pulp highspy")
def _pulp(x: int) -> object:
    import pulp

    problem = pulp.LpProblem("p", pulp.LpMaximize)
    number = problem.add_variable("n", 0, 4 + x)
    problem += number
    problem.solve(pulp.HiGHS(msg=False))
    return number.value()


@workload("cvxpy", "cvxpy")
def _cvxpy(x: int) -> object:
    import cvxpy as cp

    number = cp.Variable()
    cp.Problem(cp.Minimize((number - x) ** 2)).solve()
    return round(float(number.value), 4)


@workload("statsmodels", "statsmodels")
def _statsmodels(x: int) -> object:
    import numpy as np
    import statsmodels.api as sm

    return round(float(sm.OLS(np.arange(5) * x, sm.add_constant(np.arange(5))).fit().params[1]), 6)


@workload("astropy", "astropy")
def _astropy(x: int) -> object:
    from astropy import units as u
    from astropy.time import Time

    return str(Time("2020-01-01") + x * u.day)


@workload("rdkit", "rdkit")
def _rdkit(x: int) -> object:
    from rdkit import Chem

    return Chem.MolFromSmiles("C" * (x + 1) + "O").GetNumAtoms()


@workload("simpy", "simpy")
def _simpy(x: int) -> object:
    import simpy

    env = simpy.Environment()
    env.process(event for event in [env.timeout(x + 1)])
    env.run()
    return env.now


@workload("mesa", "mesa")
def _mesa(x: int) -> object:
    import mesa

    return mesa.Model(seed=x).random.random()


@workload("lightgbm", "lightgbm scikit-learn")
def _lightgbm(x: int) -> object:
    import lightgbm
    import numpy as np

    data = np.arange(100).reshape(-1, 1)
    model = lightgbm.LGBMRegressor(n_estimators=3, verbose=-1, random_state=x).fit(data, data[:, 0])
    return round(float(model.predict(data[:1])[0]), 4)


@workload("xgboost", "xgboost-cpu scikit-learn")
def _xgboost(x: int) -> object:
    import numpy as np
    import xgboost as xgb

    model = xgb.XGBClassifier(n_estimators=2, random_state=x).fit(np.array([[0], [1], [2], [3]]), [0, 0, 1, 1])
    return model.predict(np.array([[3]])).tolist()


@workload("onnxruntime inference", "onnxruntime onnx")
def _onnx(x: int) -> object:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    given, wanted = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "ab")
    graph = helper.make_graph([helper.make_node("Add", ["a", "a"], ["b"])], "g", [given], [wanted])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"a": np.array([x, 1], np.float32)})[0].tolist()


@workload("polars to arrow", "polars pyarrow")
def _polars(x: int) -> object:
    import polars as pl

    return pl.DataFrame({"a": [x]}).to_arrow().num_rows


@workload("duckdb to pandas", "duckdb pandas")
def _duckdb(x: int) -> object:
    import duckdb

    return int(duckdb.sql(f"select {x} + 1 as a").df().a[0])


@workload("networkx layout", "networkx numpy")
def _networkx(x: int) -> object:
    import networkx as nx

    return len(nx.spring_layout(nx.path_graph(x + 2), seed=1))


@workload("sympy to numpy", "sympy numpy")
def _sympy(x: int) -> object:
    import sympy as sp

    t = sp.Symbol("t")
    return float(sp.lambdify(t, sp.sin(t) + x, "numpy")(0.5))


@workload("numba", "numba")
def _numba(x: int) -> object:
    import numba

    @numba.njit
    def total(n: int) -> int:
        found = 0
        for k in range(n):
            found += k
        return found

    return int(total(100 + x))


@workload("spaCy", "spacy")
def _spacy(x: int) -> object:
    import spacy

    return [token.text for token in spacy.blank("en")(f"It is {x}.")]


@workload("jax", "jax")
def _jax(x: int) -> object:
    import jax
    import jax.numpy as jnp

    return round(float(jax.grad(lambda t: jnp.sin(t) * x)(0.5)), 5)


@workload("matplotlib", "matplotlib")
def _matplotlib(x: int) -> object:
    import io

    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.plot([x, 1])
    buffer = io.BytesIO()
    plt.savefig(buffer, format="png")
    return buffer.getvalue()[:8]


@workload("seaborn", "seaborn")
def _seaborn(x: int) -> object:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    # A figure of its own: in a plain loop, the next one would be drawn on top.
    return len(sns.barplot(x=["a", "b"], y=[x, 2], ax=plt.figure().subplots()).patches)


@workload("torch", "torch")
def _torch(x: int) -> object:
    import torch

    return float(torch.ones(3).sum()) + x


def cell(function: Workload) -> Workload:
    """Return the function as a notebook would have it, without a module."""
    lines = inspect.getsource(function).splitlines()
    source = "\n".join(line for line in lines if not line.startswith("@"))
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("from __future__ import annotations\n" + source, "<cell>", "exec"), names)
    return names[function.__name__]  # type: ignore[no-any-return]


def run(name: str) -> dict[str, Any]:
    """Run one workload, here and there."""
    import lithops_magic
    from lithops_magic.packages import Request, Room, Target, discover, dumps, supply

    function = cell(WORKLOADS[name][1])
    expected = [function(x) for x in range(2)]
    figures: dict[str, Any] = {}
    for when in ("first", "again"):
        began = time.perf_counter()
        result = lithops_magic.map(function, range(2), errors="keep", memory=2048, tmp=4096)
        figures[when] = time.perf_counter() - began
        figures["works"] = not result.errors and result.values() == expected
        figures[f"notes {when}"] = list(result.snapshot().notes)
        if result.errors:
            figures["error"] = str(next(iter(result.errors.values())))[:300]
    need = discover(dumps(function)[1], range(2), Request())
    built = supply(need, Target.of("x86_64"), lambda _: None, Room(tmp=10_240)).built
    return {**figures, "zipped": sum(one.size for one in built), "unzipped": sum(one.unzipped for one in built)}


def measure(name: str) -> dict[str, Any]:
    """Run one workload in its own process."""
    absent = [one for one in WORKLOADS[name][0].split() if not _is_installed(one)]
    if absent:
        return {"skipped": f"not installed: {', '.join(absent)}"}
    command = [sys.executable, __file__, "--child", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return {"works": False, "error": f"no result after {LIMIT} s"}
    if done.returncode:
        return {"works": False, "error": done.stderr.strip().splitlines()[-1][:300]}
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def table(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield "| workload | packages | works | first | again | zipped | unzipped | notes |"
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |"
    for name, figures in found.items():
        if "skipped" in figures:
            yield f"| {name} | {WORKLOADS[name][0]} | – | | | | | {figures['skipped']} |"
            continue
        times = [f"{figures[when]:.1f} s" if when in figures else "" for when in ("first", "again")]
        sizes = [f"{figures[size] / 2**20:,.0f} MB" if size in figures else "" for size in ("zipped", "unzipped")]
        notes = figures.get("error") or "; ".join(figures.get("notes first", []))
        works = "yes" if figures.get("works") else "no"
        yield f"| {name} | {WORKLOADS[name][0]} | {' | '.join([works, *times, *sizes])} | {notes.replace('|', '/')} |"


def main() -> None:
    """Run what is asked for, and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--short", action="store_true", help=f"only {', '.join(SHORT)}")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write every figure to FILE")
    options.add_argument("--only", nargs="+", choices=WORKLOADS, metavar="NAME", help="only these workloads")
    options.add_argument("--install", action="store_true", help="print the command that installs all packages")
    options.add_argument("--child", choices=WORKLOADS, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        print(json.dumps(run(given.child)))
        return
    if given.install:
        print("uv pip install", *sorted({one for packages, _ in WORKLOADS.values() for one in packages.split()}))
        return
    names = given.only or (SHORT if given.short else tuple(WORKLOADS))
    with tempfile.TemporaryDirectory() as folder:
        # A new cache has nothing of earlier runs; uv keeps its downloads.
        os.environ["LITHOPS_MAGIC_CACHE_DIR"] = folder
        found = {}
        for name in names:
            found[name] = measure(name)
            print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    print("\n".join(table(found)))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
    if any(figures.get("works") is False for figures in found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
