"""The user's own modules go with the job: files beside the notebook, packages with data, editable installs."""

from __future__ import annotations

import importlib
import io
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import uv

from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import RemoteError
from lithops_magic.packages import Request
from lithops_magic.packages.need import need_of
from localaws import LocalAws

Run = Callable[..., MapResult]


SWIFT = """
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "swift", "", -1, methods};
PyMODINIT_FUNC PyInit_swift(void) { return PyModule_Create(&module); }
"""


def test_a_module_beside_the_notebook_and_what_it_imports(run: Run, project: Callable[..., Path]) -> None:
    project({"helper.py": "import numpy\nfrom deeper import half\ndef f(x): return int(numpy.int64(half(x)))\n"})
    project({"deeper.py": "def half(x): return x // 2\n"})
    helper = importlib.import_module("helper")

    def call(x: int) -> int:
        import deeper

        return helper.f(x) + deeper.half(x)

    assert run(call, [4]).values() == [4]
    assert run(helper.f, [6]).values() == [3]


def test_edits_are_seen_once_they_are_reloaded_without_a_new_deployment(
    run: Run, project: Callable[..., Path], local_aws: LocalAws
) -> None:
    folder = project({"edited.py": "def f(x): return x + 1\n"})
    edited = importlib.import_module("edited")

    def call(x: int) -> int:
        return edited.f(x)

    assert run(call, [1, 2]).values() == [2, 3]
    created = local_aws.requests()["lambda:CreateFunction"]
    (folder / "edited.py").write_text("def f(x): return x * 100\n")
    assert run(call, [1, 2]).values() == [edited.f(1), edited.f(2)] == [2, 3]
    importlib.reload(edited)
    assert run(call, [1, 2]).values() == [100, 200]
    assert local_aws.requests()["lambda:CreateFunction"] == created


def test_a_module_named_as_one_of_the_standard_library_s(
    run: Run, project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project({"this.py": "def f(x): return -x\n"})
    monkeypatch.delitem(sys.modules, "this", raising=False)
    this = importlib.import_module("this")
    assert run(lambda x: this.f(x), [1]).values() == [-1]


def test_modules_that_import_each_other(run: Run, project: Callable[..., Path]) -> None:
    project({"ping.py": "import pong\ndef f(n): return 0 if n == 0 else 1 + pong.g(n - 1)\n"})
    project({"pong.py": "import ping\ndef g(n): return 0 if n == 0 else 1 + ping.f(n - 1)\n"})
    ping = importlib.import_module("ping")
    assert run(lambda n: ping.f(n), [5]).values() == [5]


def test_a_package_with_relative_imports_and_data_files(run: Run, project: Callable[..., Path]) -> None:
    project(
        {
            "shop/__init__.py": "",
            "shop/prices/__init__.py": "from .table import price\n",
            "shop/prices/table.py": (
                "import json, pathlib\n"
                "TABLE = json.loads((pathlib.Path(__file__).parent / 'data' / 'table.json').read_text())\n"
                "def price(name): return TABLE[name]\n"
            ),
            "shop/prices/data/table.json": '{"tea": 3}',
        }
    )
    prices = importlib.import_module("shop.prices")
    assert run(lambda name: prices.price(name), ["tea"]).values() == [3]


def test_a_large_package_is_a_layer(run: Run, project: Callable[..., Path], local_aws: LocalAws) -> None:
    folder = project({"atlas/__init__.py": "import pathlib\ndef size(): return "})
    (folder / "atlas/__init__.py").write_text(
        "import pathlib\nMAP = pathlib.Path(__file__).with_name('map.bin')\ndef size(): return MAP.stat().st_size\n"
    )
    (folder / "atlas/map.bin").write_bytes(bytes(range(256)) * 4096 + b"".join(i.to_bytes(4) for i in range(99_999)))
    atlas = importlib.import_module("atlas")

    def look(_: int) -> tuple[int, str]:
        return atlas.size(), atlas.__file__  # type: ignore[return-value]

    size, file = run(look)[0]
    assert size == (folder / "atlas/map.bin").stat().st_size
    assert file == "/opt/python/atlas/__init__.py"
    with (folder / "atlas/__init__.py").open("a") as source:
        source.write("def size(): return -1\n")
    importlib.reload(atlas)
    assert run(look)[0] == (-1, file)


def test_an_error_in_a_module_names_its_file(run: Run, project: Callable[..., Path]) -> None:
    project({"broken.py": "def f(x):\n    return x / 0\n"})
    broken = importlib.import_module("broken")
    error = run(broken.f, [1]).errors[0]
    assert isinstance(error, RemoteError)
    assert error.where == "broken.py, line 2: `return x / 0`"


def test_an_editable_install_with_its_metadata_and_requirements(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "wares"
    (source / "src" / "wares").mkdir(parents=True)
    (source / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
        "[project]\nname = 'wares'\nversion = '1.5'\ndependencies = ['tabulate']\n"
    )
    (source / "src/wares/__init__.py").write_text(
        "import importlib, importlib.metadata\n__version__ = importlib.metadata.version('wares')\n"
        "def show(): return importlib.import_module('tabulate').tabulate([[1]], tablefmt='plain')\n"
    )
    environment = tmp_path / "venv"
    for arguments in (["venv", str(environment)], ["pip", "install", "--no-deps", "-e", str(source)]):
        command = [uv.find_uv_bin(), *arguments, "--quiet", "--python"]
        python = sys.executable if arguments[0] == "venv" else str(environment)
        done = subprocess.run([*command, python], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    monkeypatch.setattr(sys, "path", list(sys.path))
    site.addsitedir(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    wares = importlib.import_module("wares")

    def call(_: int) -> tuple[str, str]:
        return wares.__version__, wares.show()

    assert run(call).values() == [("1.5", "1")]


def test_modules_among_the_installed_that_no_distribution_owns(run: Run, project: Callable[..., Path]) -> None:
    project({"other-1.dist-info/METADATA": "", "loose.py": "a = 1\n", "free/__init__.py": "", "free/data.txt": "2"})

    def call(_: int) -> tuple[int, str]:
        import importlib.resources

        import free
        import loose

        return loose.a, importlib.resources.files(free).joinpath("data.txt").read_text()

    assert run(call).values() == [(1, "2")]


@pytest.mark.parametrize("name", ["fast", "rapid._fast"])
def test_a_compiled_module_that_does_not_run_on_lambda_is_named_with_the_remedies(
    project: Callable[..., Path], run: Run, name: str
) -> None:
    folder = project({"rapid/__init__.py": "from . import _fast\n"})
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    (folder / f"{name.replace('.', '/')}{suffix}").write_bytes(b"\x7fELF")

    def call(_: int) -> object:
        if name == "fast":
            import fast

            return fast
        import rapid

        return rapid

    def falls_back(_: int) -> str:
        try:
            import fast

            return str(fast)
        except ImportError:
            return "pure"

    [error] = run(call).errors.values()
    assert "\n" not in str(error)
    if name == "fast":
        assert all(words in str(error) for words in ("compiled for this machine", "--packages PATH.whl"))
        assert run(falls_back).values() == ["pure"]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a compiler")
def test_a_compiled_module_that_runs_on_lambda_is_shipped(project: Callable[..., Path], run: Run) -> None:
    folder = project({"swift.c": SWIFT})
    include, suffix = sysconfig.get_path("include"), sysconfig.get_config_var("EXT_SUFFIX")
    command = ["gcc", "-shared", "-fPIC", f"-I{include}", "swift.c", "-o", f"swift{suffix}"]
    subprocess.run(command, cwd=folder, check=True)

    def call(x: int) -> int:
        import swift

        return int(swift.answer())

    assert run(call).values() == [42]


def test_links_in_a_package_are_followed_but_for_those_that_lead_back_or_to_too_much(
    project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, elsewhere = project({"linking/__init__.py": ""}), tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "table.csv").write_text("1")
    (elsewhere / "back").symlink_to(folder / "linking")
    for name, target in {"data": elsewhere, "loop": "..", "dangling": "/nowhere", "all": "/"}.items():
        (folder / "linking" / name).symlink_to(target)

    def names() -> list[str]:
        with zipfile.ZipFile(io.BytesIO(need_of({"linking": "imported"}, Request()).sources)) as archive:
            return sorted(archive.namelist())

    assert names() == ["linking/__init__.py", "linking/data/table.csv"]
