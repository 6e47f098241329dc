"""Versions of which Lambda can have no build: local builds, other spellings, what is years old."""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import PackageError
from lithops_magic.packages import Request, Target, pin
from lithops_magic.packages.hashes import Hashes
from lithops_magic.packages.need import need_of
from lithops_magic.packages.resolution import Difference, Resolution
from lithops_magic.packages.uv import Uv
from packages import installed_help as help


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def chosen(site: Path, name: str, version: str, target: Target) -> Resolution:
    """What is chosen for a distribution that is compiled for another system."""
    module = f"{name.replace('-', '_')}_x"
    help.wheel(site, name, {f"{module}/__init__.py": "", f"{module}/core.so": "no ELF"}, version=version)
    (site / f"{name}-{version}.dist-info/WHEEL").write_text("Tag: cp311-cp311-manylinux_2_39_x86_64\n")
    importlib.invalidate_caches()
    return pin(need_of({module: "imported"}, Request()), target)


@pytest.mark.parametrize("version", ["3.0.2+local5", "3.0.2+cpu", "3.0.02", "3.0.2.0"])
def test_a_local_build_or_another_spelling_is_the_public_version(site: Path, version: str) -> None:
    found = chosen(site, "markupsafe", version, Target(13, "x86_64"))
    assert found.fetched["markupsafe"] == "markupsafe==3.0.2"
    assert found.differences == ()
    assert found.notes == ()


def test_a_local_build_without_its_public_version_gets_the_nearest_and_says_so(site: Path) -> None:
    found = chosen(site, "markupsafe", "3.0.3.1+mine", Target(13, "x86_64"))
    assert [str(one) for one in found.differences] == ["markupsafe here 3.0.3.1+mine, there 3.0.3"]
    assert "tasks get markupsafe 3.0.3" in found.notes[0]


def test_nothing_of_cuda_is_shipped_for_it_is_of_no_use_there(site: Path) -> None:
    help.wheel(site, "nvidia_nccl_cu12", {"nvidia_x/core.so": "no ELF"}, version="2.27.3")
    help.wheel(
        site,
        "xgboost",
        {"xgboost_x/__init__.py": "", "xgboost_x/core.so": "no ELF"},
        version="3.0.4",
        requires="numpy\nnvidia-nccl-cu12; platform_system == 'Linux'",
    )
    (site / "xgboost-3.0.4.dist-info/WHEEL").write_text("Tag: py3-none-manylinux_2_39_x86_64\n")
    importlib.invalidate_caches()
    found = pin(need_of({"xgboost_x": "imported"}, Request()), Target(13, "x86_64")).fetched
    assert found["xgboost"] == "xgboost==3.0.4"
    assert not [name for name in found if name.startswith("nvidia")]
    # One that is asked for is shipped.
    asked = pin(need_of({}, Request.parse("xgboost==3.0.5 nvidia-nccl-cu12")), Target(13, "x86_64")).fetched
    assert {"xgboost", "nvidia-nccl-cu12"} <= asked.keys()


def test_a_newer_python_is_named_only_where_it_has_the_version(site: Path) -> None:
    assert "Python 3.12 or newer" in chosen(site, "numpy", "2.4.6", Target(11, "x86_64")).notes[0]
    assert "Python" not in chosen(site, "duckdb", "1.4.99", Target(11, "x86_64")).notes[0].partition("tasks get")[2]


@pytest.mark.parametrize(("name", "version"), [("lightgbm", "4.7.0"), ("onnxruntime", "1.32.0")])
def test_what_is_years_old_is_no_stand_in_unless_it_is_asked_for(site: Path, name: str, version: str) -> None:
    with pytest.raises(PackageError, match=f"There is no build of {name} {version} .* years old") as caught:
        chosen(site, name, version, Target(11, "x86_64"))
    text = str(caught.value)
    assert all(words in text for words in (f"--packages {name}==", "Python 3.12", "lithops-magic image"))
    assert "\n" not in text


@pytest.mark.parametrize("version", ["4.0.0", "26.1", "1!3.0.3"])
def test_another_major_version_of_what_the_function_uses_is_refused_with_the_ways_out(site: Path, version: str) -> None:
    with pytest.raises(
        PackageError, match=r"the nearest is of another major version .*--packages markupsafe=="
    ) as caught:
        chosen(site, "markupsafe", version, Target(13, "x86_64"))
    text = str(caught.value)
    assert f"markupsafe {version}" in text
    # Neither a newer Python nor an image has what was never built.
    assert "lithops-magic image" not in text
    assert "\n" not in text
    asked = pin(need_of({"markupsafe_x": "imported"}, Request.parse("markupsafe==3.0.3")), Target(13, "x86_64"))
    assert [str(one) for one in asked.differences] == [f"markupsafe here {version}, there 3.0.3"]
    assert asked.notes == ()


def test_the_ways_out_are_those_that_have_it(site: Path) -> None:
    with pytest.raises(PackageError, match="another major version") as caught:
        chosen(site, "pyarrow", "25.0.0", Target(11, "x86_64"))
    text = str(caught.value)
    assert text.endswith(
        "A notebook on Python 3.12 or newer gets its own versions; `lithops-magic image` writes a container image that "
        "has them."
    )
    image = replace(Target(11, "x86_64"), image=True)
    assert chosen(site, "pyarrow", "25.0.0", image).fetched["pyarrow"] == "pyarrow==25.0.0"


def test_what_is_only_required_may_be_of_another_major_version_and_that_is_noted(site: Path) -> None:
    help.wheel(site, "jinja2", {"jinja2_x/__init__.py": ""}, version="3.1.6", requires="markupsafe>=2")
    help.wheel(site, "markupsafe", {"markupsafe_x/core.so": "no ELF"}, version="4.0.0")
    (site / "markupsafe-4.0.0.dist-info/WHEEL").write_text("Tag: cp311-cp311-manylinux_2_39_x86_64\n")
    importlib.invalidate_caches()
    found = pin(need_of({"jinja2_x": "imported"}, Request()), Target(13, "x86_64"))
    assert "markupsafe 4.0.0" in found.notes[0]
    assert [one.name for one in found.differences] == ["markupsafe"]


@pytest.mark.parametrize(
    ("here", "there", "major"),
    [("3.1", "2.9", True), ("2026.1", "2025.2", False), ("2.1", "2.0", False), ("0.9", "0.1", False), ("a", "b", True)],
)
def test_versions_that_are_dates_have_no_major_one(here: str, there: str, major: bool) -> None:
    assert Difference("x", here, there).is_major is major


def test_a_pure_front_moves_with_its_compiled_half(site: Path) -> None:
    help.wheel(site, "jinja2", {"jinja2_x/__init__.py": ""}, version="3.1.6", requires="markupsafe==3.0.99")
    help.wheel(site, "markupsafe", {"markupsafe_x/core.so": "no ELF"}, version="3.0.99")
    (site / "markupsafe-3.0.99.dist-info/WHEEL").write_text("Tag: cp311-cp311-manylinux_2_39_x86_64\n")
    importlib.invalidate_caches()
    found = pin(need_of({"jinja2_x": "imported"}, Request()), Target(13, "x86_64"))
    assert found.fetched["markupsafe"].startswith("markupsafe==3.")
    assert "markupsafe 3.0.99" in found.notes[0]


def test_every_failure_says_which_packages_differ(site: Path, run: Callable[..., MapResult]) -> None:
    # What is fetched in its place has no such module, but what it is named by.
    help.wheel(site, "markupsafe", {"odd_half_x.py": "", "odd_half_core.so": "no ELF"}, version="3.0.3.1")
    (site / "markupsafe-3.0.3.1.dist-info/WHEEL").write_text("Tag: cp311-cp311-manylinux_2_39_x86_64\n")
    importlib.invalidate_caches()

    def use(x: int) -> object:
        import os

        if x < 0:
            import odd_half_x

            return odd_half_x
        if x == 2:
            os._exit(3)
        raise ValueError("no such shape")

    errors = run(use, [1, 2], retries=0).errors
    assert len(errors) == 2
    for error in errors.values():
        assert "markupsafe here 3.0.3.1, there 3.0.3" in str(error)


@pytest.mark.parametrize(
    ("tag", "minor", "architecture", "runs"),
    [
        ("manylinux_2_24_x86_64", 11, "x86_64", True),
        ("manylinux_2_26_aarch64", 11, "arm64", True),
        ("manylinux_2_18_x86_64.manylinux_2_28_x86_64", 11, "x86_64", True),
        ("manylinux_2_27_x86_64", 11, "x86_64", False),
        ("manylinux_2_24_aarch64", 11, "x86_64", False),
        ("manylinux_2_34_x86_64", 12, "x86_64", True),
        ("manylinux_2_35_x86_64", 12, "x86_64", False),
    ],
)
def test_every_wheel_runs_whose_c_library_is_no_newer_than_the_runtime_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str, minor: int, architecture: str, runs: bool
) -> None:
    files = {
        "lm_gapped.py": "",
        "lm_gapped-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: lm-gapped\nVersion: 1\n",
    }
    files["lm_gapped-1.dist-info/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-{tag}\n"
    files["lm_gapped-1.dist-info/RECORD"] = "".join(f"{name},,\n" for name in files)
    with zipfile.ZipFile(tmp_path / f"lm_gapped-1-py3-none-{tag}.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    uv = Uv(Target(minor, architecture))
    assert bool(uv.available("lm-gapped==1")) is runs
    if runs:
        assert uv.resolve(["lm-gapped>=1"]).pins == ("lm-gapped==1",)
        uv.install(["lm-gapped==1"], Hashes(), tmp_path / "there", lambda _: None)
        assert (tmp_path / "there/lm_gapped.py").exists()
