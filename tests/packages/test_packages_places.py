"""`--packages` with a folder, a repository, an address, a wheel, a conda environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import PackageError
from lithops_magic.packages import Request, Target, fingerprint
from lithops_magic.packages.need import need_of
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
    found = Request.parse(str(tmp_path / "environment.yml")).requirements
    assert found == ("conda_thing==2.5", "six>=1.16")


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
