"""Compiled modules beside the notebook that do not run on Lambda, and the ways out that the error names."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lithops_magic.cli import main
from lithops_magic.engine.backend.container_image import image_files
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import PackageError
from lithops_magic.packages import Request, Room, Target, need_of, supply
from lithops_magic.packages.missing_module import explain
from lithops_magic.packages.resolution import Resolution
from packages import installed_help as help

Run = Callable[..., MapResult]

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or sys.platform != "linux" or sysconfig.get_config_var("EXT_SUFFIX") is None,
    reason="needs a compiler for Linux",
)

POWER = """
#include <Python.h>
#include <math.h>
%s
static PyObject *square(PyObject *self, PyObject *x) { return PyFloat_FromDouble(pow(PyFloat_AsDouble(x), 2.0)); }
static PyMethodDef methods[] = {{"square", square, METH_O, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_power", "", -1, methods};
PyMODINIT_FUNC PyInit__power(void) { return PyModule_Create(&module); }
"""
NAME = f"_power{sysconfig.get_config_var('EXT_SUFFIX')}"
PYTHON = f"cp3{sys.version_info.minor}"
ANY_LINUX, OLD_LINUX, NEW_LINUX = (
    f"{PYTHON}-{PYTHON}-{name}_x86_64" for name in ("linux", "manylinux_2_17", "manylinux_2_35")
)
INIT = "try:\n    from ._power import square\nexcept ImportError as error:\n    problem = error\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, bytes]:
    """The module, by whether it needs a newer C library than Lambda's oldest."""
    folder = tmp_path_factory.mktemp("compiled")
    found = {}
    for is_new, symbol in ((True, "pow@GLIBC_2.29"), (False, "pow@GLIBC_2.2.5")):
        (folder / "power.c").write_text(POWER % f'__asm__(".symver pow,{symbol}");')
        command = ["gcc", "-shared", "-fPIC", "-fno-builtin", f"-I{sysconfig.get_path('include')}", "power.c", "-lm"]
        done = subprocess.run([*command, "-o", NAME], cwd=folder, capture_output=True, check=False)
        if done.returncode:
            pytest.skip("this compiler's C library has no such symbols")
        found[is_new] = (folder / NAME).read_bytes()
    return found


def wheel(folder: Path, tag: str, files: Mapping[str, bytes | str]) -> Path:
    help.wheel(folder / tag, "power_tool", files)
    (folder / tag / "power_tool-1.dist-info/WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
    (folder / tag / "power_tool-1.dist-info/RECORD").write_text("")
    path = folder / f"power_tool-1-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in filter(Path.is_file, (folder / tag).rglob("*")):
            archive.write(file, file.relative_to(folder / tag))
    return path


needs_old_lambda = pytest.mark.skipif(sys.version_info >= (3, 12), reason="these symbols are there")


@needs_old_lambda
def test_a_wheel_none_and_a_pure_fallback_are_ways_out(
    project: Callable[..., Path], run: Run, built: dict[bool, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = project({})
    (folder / NAME).write_bytes(built[True])

    def use(x: float) -> float:
        import _power  # type: ignore[import-not-found]

        return float(_power.square(x))

    def fall_back(x: float) -> float:
        try:
            from _power import square
        except ImportError:
            return x * x
        return float(square(x))

    for packages in (None, "none"):
        [error] = run(use, [3], packages=packages).errors.values()
        assert f"{NAME} is compiled for this machine" in str(error)
        assert "--packages PATH.whl, or to `lithops-magic image`" in str(error)
        assert run(fall_back, [3.0], packages=packages).values() == [9.0]
    for tag in (OLD_LINUX, ANY_LINUX):
        path = wheel(tmp_path_factory.mktemp("wheels"), tag, {NAME: built[False]})
        assert run(use, [3], packages=[str(path)]).values() == [9.0]


@needs_old_lambda
def test_a_package_gets_its_compiled_parts_from_the_wheel_and_the_rest_from_here(
    project: Callable[..., Path], run: Run, built: dict[bool, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = project({"power/__init__.py": f"{INIT}PLACE = 'here'\n"})
    (folder / "power" / NAME).write_bytes(built[True])
    files = {f"power/{NAME}": built[False], "power/__init__.py": f"{INIT}PLACE = 'wheel'\n"}
    path = wheel(tmp_path_factory.mktemp("wheels"), OLD_LINUX, files)
    (folder / "requirements.txt").write_text(f"{path}\n")

    def use(x: float) -> tuple[float, str]:
        import power  # type: ignore[import-not-found]

        return float(power.square(x)), power.PLACE

    assert run(use, [3], packages=[str(path)]).values() == [(9.0, "here")]
    assert run(use, [3], packages=str(folder / "requirements.txt")).values() == [(9.0, "here")]
    assert "image" not in explain("power._power")


@needs_old_lambda
@pytest.mark.parametrize("tag", [ANY_LINUX, OLD_LINUX, NEW_LINUX])
def test_a_wheel_that_needs_a_newer_system_is_refused_with_the_way_out(
    built: dict[bool, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / "layers"))
    path = wheel(tmp_path, tag, {NAME: built[True]})
    need = need_of({}, Request.parse([str(path)]))
    with pytest.raises(PackageError, match=r"glibc 2\.26\).*`lithops-magic image`") as caught:
        supply(need, Target.of("x86_64"), lambda _: None, Room())
    assert "\n" not in str(caught.value)


def test_an_image_is_built_with_wheels_of_this_machine(tmp_path: Path) -> None:
    path = wheel(tmp_path, "py3-none-any", {"power.py": ""})
    folder = tmp_path / "image"
    assert main.main(["image", "--packages", str(path), "--out", str(folder)]) == 0
    assert (folder / "requirements.txt").read_text() == f"power-tool @ file:///tmp/wheels/{path.name}\n"
    assert (folder / "wheels" / path.name).read_bytes() == path.read_bytes()
    assert "COPY wheels/ /tmp/wheels/\nRUN pip install" in (folder / "Dockerfile").read_text()
    built_here = Resolution((), {"power": f"power @ {tmp_path.as_uri()}"}, (), frozenset(), (), ())
    with pytest.raises(PackageError, match="which an image build cannot see: build a wheel of it"):
        image_files(built_here, Target.of("x86_64"))
