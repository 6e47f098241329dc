"""Projects installed in editable mode, however their installer points to them, and namespaces over several folders."""

from __future__ import annotations

import importlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lithops_magic.packages import Request, Room, Target, supply
from lithops_magic.packages.missing_module import explain, provider_of
from lithops_magic.packages.need import need_of
from packages import installed_help as help

TARGET = Target.of("x86_64")
FINDER = """
import sys
from importlib.machinery import PathFinder
from importlib.util import spec_from_file_location
MAPPING = {mapping!r}
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in MAPPING:
            return spec_from_file_location(name, MAPPING[name])
def install():
    sys.meta_path.append(Finder)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(tmp_path) in repr(sys.modules[name]):
            del sys.modules[name]


def editable(site: Path, name: str, pointer: dict[str, str], project: Path, **options: str) -> None:
    help.wheel(site, name, dict(pointer), **options)
    origin = {"url": project.as_uri(), "dir_info": {"editable": True}}
    (site / f"{name}-1.dist-info/direct_url.json").write_text(json.dumps(origin))
    importlib.invalidate_caches()


def sources(*modules: str) -> list[str]:
    """The names of the user's own files that travel."""
    found = need_of(dict.fromkeys(modules, "imported"), Request()).sources
    return zipfile.ZipFile(io.BytesIO(found)).namelist() if found else []


def layered(request: str) -> set[str]:
    [layer] = supply(need_of({}, Request.parse(request)), TARGET, lambda _: None, Room()).layers
    with zipfile.ZipFile(layer.path) as archive:
        return {name.removeprefix("python/") for name in archive.namelist()}


@pytest.fixture
def mapped(site: Path, tmp_path: Path) -> Path:
    """A project whose package and subpackage lie in folders of other names, found by a hook (PEP 660)."""
    project = tmp_path / "work"
    help.write(
        project,
        {
            "lib/__init__.py": "from mapped_one.inner import V\n",
            "lib/inner.py": "V = 1\n",
            "lib/t.json": "{}",
            "other/deep/__init__.py": "",
            "other/deep/leaf.py": "",
            "one.py": "",
        },
    )
    mapping = {
        "mapped_one": str(project / "lib/__init__.py"),
        "mapped_one.sub": str(project / "other/deep/__init__.py"),
        "mapped_single": str(project / "one.py"),
    }
    finder = {"__editable___mapped_finder.py": FINDER.format(mapping=mapping), "__editable__.mapped-1.pth": ""}
    editable(site, "mapped_one", finder, project)
    importlib.import_module("__editable___mapped_finder").install()
    return project


def test_modules_travel_under_their_own_names_whatever_their_folders_are_called(mapped: Path) -> None:
    found = sources("mapped_one.sub.leaf", "mapped_single")
    assert {"mapped_one/__init__.py", "mapped_one/inner.py", "mapped_one/t.json"} <= set(found)
    assert {"mapped_one/sub/__init__.py", "mapped_one/sub/leaf.py", "mapped_single.py"} <= set(found)
    assert not [name for name in found if name.startswith(("lib/", "other/"))]


def test_one_that_is_asked_for_by_name_or_required_is_shipped_with_its_modules(site: Path, mapped: Path) -> None:
    found = layered("mapped_one")
    assert {"mapped_one/inner.py", "mapped_one/t.json", "mapped_one-1.dist-info/METADATA"} <= found
    assert not [name for name in found if "__editable__" in name or name.endswith(".pth")]
    help.wheel(site, "needs_it", {"needs_it.py": ""}, requires="mapped_one")
    importlib.invalidate_caches()
    assert {"needs_it.py", "mapped_one/inner.py"} <= layered("needs_it")


def test_a_folder_of_sources_is_found_by_what_points_to_it(site: Path, tmp_path: Path) -> None:
    project = tmp_path / "work"
    help.write(project, {"src/corp_x/part_a/__init__.py": "V = 2\n", "src/corp_x/part_a/d.txt": "", "tests/t.py": ""})
    editable(site, "corp_x.a", {"_editable_impl_corp.pth": f"{project}/src\n"}, project)
    sys.path.append(f"{project}/src")
    try:
        assert {"corp_x/part_a/__init__.py", "corp_x/part_a/d.txt"} <= layered("corp_x.a")
        assert provider_of("corp_x") == provider_of("corp_x.part_a") == "corp-x-a"
    finally:
        sys.path.remove(f"{project}/src")


def test_parts_of_a_namespace_package_that_only_tasks_name(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., object]
) -> None:
    second = tmp_path / "second"
    monkeypatch.syspath_prepend(second)
    help.wheel(site, "spread_one", {"spread_x/one.py": "V = 1\n"})
    help.wheel(second, "spread_two", {"spread_x/deep/two.py": "V = 2\n"})
    importlib.invalidate_caches()

    def use(name: str) -> int:
        import importlib

        return int(importlib.import_module(f"spread_x.{name}").V)

    assert run(use, ["one", "deep.two"]).values() == [1, 2]  # type: ignore[attr-defined]


def test_a_namespace_of_old_installers(site: Path) -> None:
    import types

    help.wheel(site, "old_space", {"old_space_x/part.py": "V = 1\n"})
    module = types.ModuleType("old_space_x")
    module.__path__ = [str(site / "old_space_x")]
    sys.modules["old_space_x"] = module
    try:
        need = need_of({"old_space_x.part": "imported"}, Request())
        assert [unit.name for unit, _ in need.units] == ["old_space_x.part"]
    finally:
        del sys.modules["old_space_x"]


def test_a_namespace_of_the_users_own_is_not_called_uninstalled(site: Path, tmp_path: Path) -> None:
    help.write(tmp_path / "mine", {"own_space_x/part.py": ""})
    sys.path.append(str(tmp_path / "mine"))
    try:
        assert "is your own" in explain("own_space_x")
    finally:
        sys.path.remove(str(tmp_path / "mine"))
