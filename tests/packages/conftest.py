from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uv

import lithops_magic
from lithops_magic.engine.result.map_result import MapResult

DISTRIBUTIONS = ("docopt", "jaraco.functools", "lxml", "polars", "pydantic")


def install(folder: Path, *what: str) -> None:
    """Install for this machine, as a user would."""
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable, *what]
    done = subprocess.run([*command, "--target", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory: pytest.TempPathFactory, package_cache: Path) -> Path:
    """A folder of installed distributions beside the test environment's own."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CACHE_DIR", str(package_cache / "uv"))
        install(folder, *DISTRIBUTIONS)
    return folder


@pytest.fixture
def installed(site_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `DISTRIBUTIONS` importable beside what the tests need anyway; the tests do not import them here."""
    monkeypatch.syspath_prepend(site_folder)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Write files into a folder that is on the path, as the one beside a notebook is; forget its modules at the end."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()
        return tmp_path

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.fixture
def run(local_aws: object) -> Callable[..., MapResult]:
    """Map on the local AWS and wait, errors kept."""

    def run(function: Callable[..., object], items: object = (0,), **options: object) -> MapResult:
        return lithops_magic.map(function, items, errors="keep", **options)

    return run
