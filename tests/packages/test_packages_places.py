"""`--packages` with a folder, a repository, an address, a wheel, a conda environment."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import PackageError
from lithops_magic.packages import Request, Target, fingerprint
from lithops_magic.packages.need import need_of
from lithops_magic.packages.supply import pin
from packages import installed_help as help

Run = Callable[..., MapResult]

PROJECT = '[project]\nname = "home-made"\nversion = "1"\n[build-system]\nrequires = ["setuptools"]\n'


def test_a_folder_is_built_and_what_changes_in_it_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    found = []
    for value in (1, 22):
        help.write(tmp_path, {"home/pyproject.toml": PROJECT, "home/home_made.py": f"VALUE = {value}\n"})
        found += run(lambda x: __import__("home_made").VALUE, packages="./home").values()
    assert found == [1, 22]


def test_a_wheel_that_is_built_again_under_the_same_name_makes_another_layer(tmp_path: Path) -> None:
    path = tmp_path / "made-1-py3-none-any.whl"
    states = []
    for text in (b"one", b"two"):
        path.write_bytes(text)
        states.append(fingerprint(need_of({}, Request.parse([str(path)])), Target.of("x86_64")))
    assert states[0] != states[1]


@pytest.mark.parametrize(
    ("word", "requirement"),
    [
        ("git+https://example.org/me/tool.git@v1", "tool @ git+https://example.org/me/tool.git@v1"),
        ("git+ssh://git@example.org/me/tool", "tool @ git+ssh://git@example.org/me/tool"),
        ("git+https://example.org/me/r.git#egg=other-name", "other-name @ git+https://example.org/me/r.git"),
        ("https://example.org/dl/six-1.17.0-py2.py3-none-any.whl", None),
        ("https://example.org/dl/some-tool-1.2.tar.gz", "some-tool @ https://example.org/dl/some-tool-1.2.tar.gz"),
    ],
)
def test_addresses_have_the_name_of_what_is_there(word: str, requirement: str | None) -> None:
    expected = requirement or f"six @ {word}"
    assert Request.parse(word).requirements == (expected,)


def test_a_conda_environment_gives_what_is_installed_here_and_what_pip_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    help.wheel(tmp_path, "conda_thing", {"conda_thing.py": ""}, version="2.5")
    text = "name: x\ndependencies:\n- python=3.11\n- conda-forge::conda_thing=2.5=h123\n- pip\n- pip:\n  - six>=1.16\n"
    (tmp_path / "environment.yml").write_text(text)
    found = Request.parse(str(tmp_path / "environment.yml"))
    assert found.requirements == ("conda_thing==2.5", "six>=1.16")
    [note] = found.notes
    assert note.startswith("environment.yml: python=3.11, pip not shipped: tasks have the notebook's Python 3.")


def test_an_exported_conda_environment_lists_libraries_that_are_not_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = {
        "libgeos-3.12.json": {"name": "libgeos", "files": ["lib/libgeos.so", "include/geos.h"]},
        "libgeos-tools-1.json": {"name": "libgeos-tools", "files": ["lib/python3.11/site-packages/geos_tools.py"]},
        "broken-1.json": [],
    }
    help.write(tmp_path, {f"conda-meta/{name}": json.dumps(record) for name, record in records.items()})
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    entries = "[openssl=3.3.2=hb9d3cd8_0, ld_impl_linux-64=2.43, conda-forge::libgeos=3.12.2=he02047a_1, packaging]"
    (tmp_path / "e.yml").write_text(f"dependencies: {entries}\n")
    (found,) = Request.parse(str(tmp_path / "e.yml")).requirements
    assert found.startswith("packaging==")
    for name in ("libgeos-tools", "broken", "gdal"):  # may be a Python package, which PyPI may call otherwise
        (tmp_path / "e.yml").write_text(f"dependencies: [{name}=1]\n")
        with pytest.raises(PackageError, match=f"conda's {name}, which is not .*`lithops-magic image`"):
            Request.parse(str(tmp_path / "e.yml"))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("e.yml", "dependencies: [no-such-conda-thing-x]", "which is not installed here under that name"),
        ("e.yml", "just text", "is not a conda environment"),
        ("e.yml", "a: [", "is not a conda environment"),
        ("missing.yml", None, "cannot be read"),
        ("./no-folder", None, "is not a folder"),
        (".", None, "has no pyproject.toml or setup.py"),
        ("gone.whl", None, "there is no file"),
        ("https://example.org/", None, "does not name its package"),
        ("git@example.org:a/b.git", None, "ssh://git@example.org/a/b.git"),
        ("e.yml", "dependencies: numpy", "is not a conda environment"),
        ("e.yml", "dependencies:\n- pip: numpy", "neither a package nor a list"),
        ("e.yml", "dependencies: [packaging=1]", "is installed here"),
        ("e.yml", "dependencies: ['packaging[version=\"<2\"]']", "is installed here"),
        ("e.yml", "dependencies:\n- pip:\n  - --extra-index-url=https://u:secret@h/", "the option --extra-index-url:"),
    ],
)
def test_places_where_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str | None, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(PackageError, match=told) as caught:
        Request.parse(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["./Pipfile", "Cargo.lock", "pdm.lock", "poetry.toml", "./setup.cfg", "Dockerfile"])
def test_a_file_that_names_no_packages_for_python_is_told_with_what_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    # To Poetry, this would be a requirement.
    (tmp_path / word).write_text('[[package]]\nname = "serde"\nversion = "1"\n')
    with pytest.raises(PackageError, match=rf"packages: {re.escape(word)} is a file .*no packages.*requirements file"):
        Request.parse(word)


@pytest.mark.parametrize("word", ["requirements.lock", "requirements-dev.lock", "-r reqs.in"])
def test_requirements_files_by_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / word.removeprefix("-r ")).write_text("six==1.16.0\n")
    assert pin(need_of({}, Request.parse(word)), Target.of("x86_64")).fetched == {"six": "six==1.16.0"}


@pytest.fixture(scope="module")
def misnamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose folder has another name, built once for all ways to write it."""
    folder = tmp_path_factory.mktemp("misnamed")
    help.write(folder, {"work/setup.py": "from setuptools import setup\nsetup(name='Its.Own_Name', version='2')\n"})
    return folder


@pytest.mark.parametrize("line", ["./work", "-e ./work[x]", "work @ {}"])
@pytest.mark.parametrize("is_in_file", [False, True])
def test_what_is_in_a_folder_may_be_called_otherwise(
    misnamed: Path, monkeypatch: pytest.MonkeyPatch, line: str, is_in_file: bool
) -> None:
    monkeypatch.chdir(misnamed)
    line = line.format((misnamed / "work").as_uri())
    (misnamed / "r.txt").write_text(line)
    request = Request.parse("r.txt") if is_in_file else Request.parse([line.removeprefix("-e ")])
    found = pin(need_of({}, request), Target.of("x86_64"))
    assert found.fetched == {"its-own-name": f"its-own-name @ {(misnamed / 'work').as_uri()}"}
    assert found.built == {"its-own-name"}


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("Pipfile", "is a file from which no packages are read"),
        ("pyproject.toml[all]", "such as `.[all]`"),
        ("project", "write ./project for the folder"),
        ("mine_alone", "is your own module"),
        ("dateutil", "is a module of python-dateutil: write that"),
    ],
)
def test_a_name_of_something_here_is_never_looked_up_in_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    help.write(tmp_path, {"Pipfile": "", "pyproject.toml": PROJECT, "project/setup.py": "", "mine_alone.py": ""})
    with pytest.raises(PackageError, match=re.escape(told)):
        Request.parse(word)
    if word.isidentifier():
        assert Request.parse(f"{word}>=0").requirements == (f"{word}>=0",)


@pytest.mark.parametrize(
    ("word", "requirement"),
    [
        (".[fast, more]", "home-made[fast,more] @ {here}"),
        ("-e .", "home-made @ {here}"),
        ("sub/", "home-made @ {here}/sub"),
        ("file://{folder}/sub", "home-made @ {here}/sub"),
        ("made-1-py3-none-any.whl[x]", "made[x] @ {here}/made-1-py3-none-any.whl"),
        ("named@git+https://example.org/r.git@v1", "named @ git+https://example.org/r.git@v1"),
    ],
)
def test_places_as_pip_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, requirement: str
) -> None:
    monkeypatch.chdir(tmp_path)
    help.write(tmp_path, {"pyproject.toml": PROJECT, "sub/pyproject.toml": PROJECT, "made-1-py3-none-any.whl": ""})
    words = [word.replace("{folder}", str(tmp_path))] if "[" in word else word.replace("{folder}", str(tmp_path))
    assert Request.parse(words).requirements == (requirement.replace("{here}", tmp_path.as_uri()),)


def test_pip_s_files_and_folders_lie_beside_the_conda_environment(tmp_path: Path) -> None:
    text = "dependencies:\n- pip:\n  - -r more.txt\n  - -e ./home\n"
    help.write(tmp_path, {"e/environment.yml": text, "e/more.txt": "six\n", "e/home/pyproject.toml": PROJECT})
    found = Request.parse(str(tmp_path / "e/environment.yml"))
    assert found.requirements == (f"home-made @ {(tmp_path / 'e/home').as_uri()}",)
    assert [path for path, _ in found.files] == [tmp_path / "e/more.txt"]
