"""Modules as they were installed before wheels: in zips and eggs, by links to a project, without their sources."""

from __future__ import annotations

import importlib
import py_compile
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.packages import Request
from lithops_magic.packages.need import need_of

Run = Callable[..., MapResult]

METADATA = "Metadata-Version: 1.2\nName: old-way\nVersion: 1.5\n"


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Put a file or folder of this name on `sys.path`; forget its modules at the end."""
    before = set(sys.modules)

    def add(name: str) -> Path:
        monkeypatch.syspath_prepend(tmp_path / name)
        importlib.invalidate_caches()
        return tmp_path / name

    yield add
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def archive(path: Path, files: dict[str, str | bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, text in files.items():
            opened.writestr(name, text)


def bytecode(folder: Path, text: str) -> bytes:
    source = folder / "compiled_source.py"
    source.write_text(text)
    return Path(py_compile.compile(str(source), str(folder / "out.pyc"), doraise=True)).read_bytes()


@pytest.mark.parametrize("name", ["lib.zip", "old_way-1.5-py3.11.egg"])
def test_modules_in_a_zip(run: Run, on_path: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    archive(
        tmp_path / name,
        {
            "zipped_pack/__init__.py": "from zipped_pack.part import half\nimport zipped_single\n",
            "zipped_pack/part.py": "def half(x): return x / 2\n",
            "zipped_pack/table.txt": "7",
            "zipped_single.pyc": bytecode(tmp_path, "import zipped_other\nanswer = zipped_other.x + 2\n"),
            "zipped_other.py": "x = 40",
            "EGG-INFO/PKG-INFO": METADATA,
        },
    )
    on_path(name)
    loaded = importlib.import_module("zipped_pack")

    def use(x: int) -> tuple[float, int, bytes | None]:
        import pkgutil

        import zipped_single  # type: ignore[import-not-found]

        return loaded.half(x), zipped_single.answer, pkgutil.get_data("zipped_pack", "table.txt")

    result = run(use, [4])
    assert result.values() == [(2.0, 42, b"7")]
    assert not [note for note in result.snapshot().notes if "zipped" in note]


def test_a_wheel_on_the_path_brings_its_metadata_and_what_it_requires(
    run: Run, on_path: Callable[[str], Path], tmp_path: Path
) -> None:
    archive(
        tmp_path / "on_path-3-py3-none-any.whl",
        {
            "on_path_x/__init__.py": "",
            "on_path-3.dist-info/METADATA": "Name: on-path\nVersion: 3\nRequires-Dist: pyyaml\n",
            "on_path-3.dist-info/RECORD": "on_path_x/__init__.py,,\n",
        },
    )
    on_path("on_path-3-py3-none-any.whl")

    def use(_: int) -> tuple[str, str]:
        import importlib
        from importlib.metadata import version

        import on_path_x  # type: ignore[import-not-found]  # noqa: F401

        return version("on-path"), importlib.import_module("ya" + "ml").safe_load("a")

    assert run(use).values() == [("3", "a")]


def test_a_changed_zip_is_the_one_that_is_shipped(on_path: Callable[[str], Path], tmp_path: Path) -> None:
    archive(tmp_path / "lib.zip", {"zip_of_one.py": "x = 1"})
    on_path("lib.zip")
    first = need_of({"zip_of_one": "imported"}, Request()).sources
    archive(tmp_path / "lib.zip", {"zip_of_one.py": "x = 2222"})
    importlib.invalidate_caches()
    assert need_of({"zip_of_one": "imported"}, Request()).sources not in (b"", first)


def test_a_project_that_is_linked_and_an_egg_that_is_a_folder(run: Run, on_path: Callable[[str], Path]) -> None:
    project = on_path("project")
    for folder, name in ((project, "old_way.egg-info"), (on_path("other-2.0-py3.11.egg"), "EGG-INFO")):
        (folder / name).mkdir(parents=True)
        other = "linked_way" if folder == project else "egg_way"
        (folder / name / "PKG-INFO").write_text(METADATA.replace("old-way", other.replace("_", "-")))
        (folder / name / "top_level.txt").write_text(other)
        (folder / f"{other}.py").write_text("import numpy\nx = int(numpy.int64(3))\n")
    importlib.invalidate_caches()

    def use(_: int) -> tuple[int, int, str, str]:
        from importlib.metadata import version

        import egg_way  # type: ignore[import-not-found]
        import linked_way  # type: ignore[import-not-found]

        return egg_way.x, linked_way.x, version("linked-way"), version("egg-way")

    assert run(use).values() == [(3, 3, "1.5", "1.5")]


def test_a_package_without_its_sources(run: Run, on_path: Callable[[str], Path], tmp_path: Path) -> None:
    folder = on_path("bare")
    (folder / "bare_pack").mkdir(parents=True)
    (folder / "bare_pack/__init__.pyc").write_bytes(bytecode(tmp_path, "from bare_pack.deep import x\nimport bare_dep"))
    (folder / "bare_pack/deep.pyc").write_bytes(bytecode(tmp_path, "x = 5"))
    (folder / "bare_dep.py").write_text("y = 6")
    importlib.invalidate_caches()

    def use(_: int) -> int:
        import bare_pack  # type: ignore[import-not-found]

        return int(bare_pack.x + bare_pack.bare_dep.y)

    assert run(use).values() == [11]


def test_child_pythons_find_packages_and_the_notebooks_modules_and_programs_run(
    run: Run, on_path: Callable[[str], Path]
) -> None:
    folder = on_path("notebook")
    folder.mkdir()
    (folder / "child_module.py").write_text(
        "import sys\nif __name__ == '__main__':\n    print('child of', sys.argv[1])\n"
    )
    importlib.invalidate_caches()

    def use(x: int) -> tuple[str, str, str]:
        import subprocess
        import sys

        import child_module  # type: ignore[import-not-found]  # noqa: F401 - what the child runs is shipped for it
        import yaml  # noqa: F401

        def said(*command: str) -> str:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

        named = said(sys.executable, "-m", "child_module", str(x))
        packaged = said(sys.executable, "-c", "import yaml; print(yaml.safe_load('[1]'))")
        return named, packaged, said("sh", "-c", "python3 -c 'import yaml; print(yaml.__name__)'")

    assert run(use, [4]).values() == [("child of 4", "[1]", "yaml")]


def test_libraries_have_folders_of_their_own_to_write_to(run: Run) -> None:
    def use(_: int) -> tuple[list[bool], str]:
        import os
        import tempfile
        from pathlib import Path

        import matplotlib as mpl

        folders = [os.environ[name] for name in ("HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME")]
        folders += [mpl.get_configdir(), mpl.get_cachedir(), str(Path("~").expanduser())]
        for folder in folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, "written").write_text("kept")
        within = [Path(folder).is_relative_to(tempfile.gettempdir()) for folder in folders]
        return within, Path(mpl.get_cachedir(), "written").read_text()

    assert run(use).values() == [([True] * 7, "kept")]
    # What is configured stays.
    assert run(lambda _: __import__("os").environ["MPLCONFIGDIR"], env={"MPLCONFIGDIR": "/tmp/mine"}).values() == [
        "/tmp/mine"
    ]
