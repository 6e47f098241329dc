"""Files that name packages, and the versions that each runtime gets."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import uv

from lithops_magic.errors import PackageError
from lithops_magic.packages import Request, Target, need_of, pin
from lithops_magic.packages.lockfiles import locked

MARKUPSAFE = """\
[[{key}]]
name = "markupsafe"
version = "3.0.1"
[[{key}]]
name = "colorama"
version = "0.4.6"
marker{s} = "sys_platform == 'win32'"
"""
PROJECT = """\
[project]
name = "mine"
version = "1"
requires-python = ">=3.11"
dependencies = ["markupsafe==3.0.1", "colorama ; sys_platform == 'win32'"]
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", PROJECT),
        ("pylock.toml", MARKUPSAFE.format(key="packages", s="")),
        ("poetry.lock", MARKUPSAFE.format(key="package", s="s") + '[[package]]\nname = "x"\ngroups = ["dev"]\n'),
        ("Pipfile.lock", '{"default": {"markupsafe": {"version": "==3.0.1"}}, "develop": {"x": {"version": "==1"}}}'),
        ("uv.lock", ""),
    ],
)
def test_files_that_name_packages(tmp_path: Path, name: str, text: str) -> None:
    if name != "uv.lock":
        (tmp_path / name).write_text(text)
    else:
        (tmp_path / "pyproject.toml").write_text(PROJECT)
        subprocess.run([uv.find_uv_bin(), "lock", "--quiet", "--directory", str(tmp_path)], check=True)
    found = pin(need_of({}, Request.parse(str(tmp_path / name))), Target.of("x86_64"))
    assert found.fetched == {"markupsafe": "markupsafe==3.0.1"}


SOURCES = [
    ("pylock.toml", 'directory = {path = ".", editable = true}', None),
    ("pylock.toml", 'vcs = {type = "git", url = "https://h/a.git", commit-id = "1f"}', "a @ git+https://h/a.git@1f"),
    ("pylock.toml", 'archive = {url = "https://h/a.tar.gz"}', "a @ https://h/a.tar.gz"),
    ("poetry.lock", 'source = {type = "directory", url = "../a"}', None),
    ("poetry.lock", 'source = {type = "file", url = "a.whl"}', None),
    (
        "poetry.lock",
        'source = {type = "git", url = "https://h/a.git", reference = "main", resolved_reference = "1f"}',
        "a @ git+https://h/a.git@1f",
    ),
    ("poetry.lock", 'source = {type = "url", url = "https://h/a.tar.gz"}', "a @ https://h/a.tar.gz"),
    ("poetry.lock", 'source = {type = "legacy", url = "https://private/simple"}', "a==1"),
    ("Pipfile.lock", '{"path": ".", "editable": true}', None),
    ("Pipfile.lock", '{"file": "a.whl"}', None),
    ("Pipfile.lock", '{"git": "https://h/a.git", "ref": "1f"}', "a @ git+https://h/a.git@1f"),
    ("Pipfile.lock", '{"file": "https://h/a.tar.gz"}', "a @ https://h/a.tar.gz"),
]


@pytest.mark.parametrize(("name", "source", "requirement"), SOURCES)
def test_what_a_lock_file_does_not_take_from_an_index(name: str, source: str, requirement: str | None) -> None:
    key = "package" if name == "poetry.lock" else "packages"
    text = f'[[{key}]]\nname = "a"\nversion = "1"\n{source}' if "toml" in name or key == "package" else ""
    data = text or f'{{"default": {{"a": {source}}}}}'
    assert locked(Path(name), data.encode()) == ([requirement] if requirement else [])


@pytest.mark.parametrize("text", ["[tool.ruff]\n", "[project]\nname = 'a'\ndynamic = ['dependencies']\n"])
def test_a_project_whose_dependencies_only_its_tool_knows(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(text)
    with pytest.raises(PackageError, match=r"has no list of dependencies under \[project\]: give a requirements file"):
        Request.parse(str(file))
    file.write_text("[project\n")
    with pytest.raises(PackageError, match=r"pyproject\.toml cannot be read: Expected"):
        Request.parse(str(file))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pylock.toml", "packages = 1"),
        ("pylock.toml", "[[packages]]\nname = 'a'"),
        ("poetry.lock", "name ="),
        ("Pipfile.lock", "{}"),
        ("uv.lock", ""),
    ],
)
def test_a_file_that_is_no_lock_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PackageError, match=rf"^packages: .*{name}") as caught:
        pin(need_of({}, Request.parse(str(tmp_path / name))), Target.of("x86_64"))
    assert "\n" not in str(caught.value)


def test_a_change_in_an_included_file_counts(tmp_path: Path) -> None:
    file, included = tmp_path / "requirements.txt", tmp_path / "base" / "pins.txt"
    included.parent.mkdir()
    file.write_text("six\n-rbase/pins.txt\n")
    included.write_text("-c ../requirements.txt\nmarkupsafe==3.0.1\n")
    before = Request.parse(str(file))
    assert Request.parse(str(file)) == before
    included.write_text("markupsafe==3.0.2\n")
    assert Request.parse(str(file)) != before
    included.unlink()
    with pytest.raises(PackageError, match=r"pins\.txt cannot be read: No such file"):
        Request.parse(str(file))
    file.write_text("six\n-c https://ada:open-sesame@example.org/more.txt\n")
    with pytest.raises(PackageError, match=r"requirements\.txt includes https://example\.org/more\.txt: save that"):
        Request.parse(str(file))


@pytest.mark.parametrize("target", [Target(11, "x86_64"), Target(13, "arm64")])
def test_each_runtime_gets_builds_of_its_own(target: Target) -> None:
    found = pin(need_of({"numpy": "imported"}, Request()), target)
    if not found.differences:
        assert found.notes == ()
        return
    [difference] = found.differences
    assert found.fetched["numpy"] == f"numpy=={difference.there}"
    told = f"there is no build of numpy {np.__version__} for {target.describe()}: tasks get numpy {difference.there}"
    assert found.notes == (f"{told}; a notebook on Python 3.12 or newer gets its own versions",)


def test_nothing_of_the_notebook_is_shipped_unless_it_is_asked_for_by_name() -> None:
    target = Target.of("x86_64")
    widget = pin(need_of({}, Request.parse("anywidget")), target).fetched
    assert "anywidget" in widget
    assert not widget.keys() & {"ipython", "ipywidgets", "jedi", "widgetsnbextension"}
    both = pin(need_of({}, Request.parse("anywidget ipython")), target).fetched
    assert both["ipython"] == f"ipython=={version('ipython')}"
    assert "jedi" in both
    assert "ipywidgets" not in both
