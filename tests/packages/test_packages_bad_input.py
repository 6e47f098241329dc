"""What cannot be shipped is said in one line, before anything is invoked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import lithops_magic
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import DeployError, PackageError
from lithops_magic.packages import Request, Target, indexes, local, need_of, pin
from localaws import LocalAws

Run = Callable[..., MapResult]


def failure(**options: object) -> str:
    """The text with which a map of a function that uses PyYAML ends."""

    def use(x: int) -> str:
        return str(yaml.safe_load("1"))

    with pytest.raises((PackageError, DeployError)) as caught:
        lithops_magic.map(use, [0], **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_version_that_does_not_exist_is_named_with_the_nearest(local_aws: LocalAws) -> None:
    before = local_aws.requests().get("lambda:Invoke", 0)
    text = failure(packages="markupsafe==3.0.99")
    assert "markupsafe==3.0.99" in text
    assert "The nearest available: markupsafe==3.0." in text
    assert local_aws.requests().get("lambda:Invoke", 0) == before


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("Gemfile999", "there is no package Gemfile999 on INDEX, and no file Gemfile999 here."),
        ("no.such.lm-thing>=1", "there is no package no.such.lm-thing on INDEX, and no file no.such.lm-thing here."),
        ("hypothesizz", "there is no package hypothesizz on INDEX: did you mean hypothesis, which is installed here?"),
        ("Py-Yaml-lm[a]", "there is no package Py-Yaml-lm on INDEX: did you mean PyYAML, which is installed here?"),
    ],
)
def test_a_name_that_no_index_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word: str, told: str) -> None:
    (tmp_path / "simple").mkdir()
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"mine={(tmp_path / 'simple').as_uri()}")
    with pytest.raises(PackageError) as caught:
        pin(need_of({}, Request.parse(word)), Target(11, "x86_64"))
    assert str(caught.value) == f"packages: {told.replace('INDEX', (tmp_path / 'simple').as_uri())}"


def test_where_packages_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert indexes.places() == ["PyPI"]
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://me:hunter2@company.example/simple")
    assert indexes.places() == ["PyPI", "https://company.example/simple"]
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert indexes.places() == ["https://mirror.example/simple", "https://company.example/simple"]
    monkeypatch.setenv("UV_INDEX_URL", "https://uv.example/simple")
    assert indexes.places() == ["https://uv.example/simple"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("-r requirements-dev", "requirements-dev cannot be read: No such file"),
        ("--requirement=dev", "dev cannot be read: No such file"),
        ("locked-requirements", "write locked-requirements.txt for the file"),
        ("-e folder", "folder has no pyproject.toml"),
    ],
)
def test_a_file_is_never_taken_for_a_name(
    words: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "locked-requirements.txt").write_text("polars==1.0.0\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(PackageError, match=told):
        Request.parse(words)
    for given in ("-rlocked-requirements.txt", "-r locked-requirements.txt", "locked-requirements.txt"):
        assert [path.name for path, _ in Request.parse(given).files] == ["locked-requirements.txt"]


def test_pins_that_contradict_each_other(local_aws: LocalAws) -> None:
    text = failure(packages="requests==2.32.3 idna==2.0")
    assert "requests==2.32.3" in text
    assert "idna==2.0" in text


@pytest.mark.parametrize(
    ("name", "requires", "told"),
    [
        ("lithops-magic-no-such-name", "", r"There is no build of lithops-magic-no-such-name .* --packages PATH\.whl"),
        ("markupsafe", ">=99", r"No versions fit together for Lambda's Python 3\.13 .*markupsafe>=99"),
    ],
)
def test_what_there_is_no_build_of_is_named_with_the_remedy(
    project: Callable[..., Path], name: str, requires: str, told: str
) -> None:
    metadata = "Metadata-Version: 2.1\nName: {}\nVersion: {}\nRequires-Dist: {}\n"
    folder = f"{name.replace('-', '_')}-99.dist-info"
    project(
        {
            "top.py": "",
            "top-1.dist-info/METADATA": metadata.format("top", 1, name + requires),
            "top-1.dist-info/WHEEL": "Tag: py3-none-any\n",
            "top-1.dist-info/RECORD": "top.py,,\n",
            # What lists no files may be compiled.
            f"{folder}/METADATA": metadata.format(name, 99, "six"),
        }
    )
    with pytest.raises(PackageError, match=f"^{told}") as caught:
        pin(need_of({"top": "imported"}, Request()), Target(13, "arm64"))
    assert "\n" not in str(caught.value)


def test_a_package_that_is_larger_than_a_function(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project({"huge/__init__.py": "", "huge/data.bin": "x" * 100})
    monkeypatch.setattr(local, "UNZIPPED_LIMIT", 99)
    with pytest.raises(PackageError, match=r"The package huge .* keep its data outside of the package"):
        need_of({"huge": "imported"}, Request())


def test_no_network_and_nothing_fetched_before(
    local_aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / "layers"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    text = failure(packages="tinycss2==1.4.0")
    assert "package index cannot be reached" in text
    assert "Connect to the network once" in text


@pytest.mark.parametrize(
    ("packages", "told"),
    [
        ("numpy==", "`numpy==` is not a requirement"),
        ("none numpy", "`none` cannot be combined"),
        ("missing-requirements.txt", "missing-requirements.txt cannot be read"),
        ("./missing-1.0-py3-none-any.whl", "there is no file"),
        ("numpy 2.1", r"2\.1 is a version: write NAME==2\.1"),
        ("polars@1.2.3", r"for a version, write polars==1\.2\.3"),
        ("pip install polars", "leave out `pip install`"),
        ("!python3 -m pip install -U polars", "leave out `!python3 -m pip install`"),
        ("python==3.12", r"Tasks run on the notebook's Python, 3\."),
        ("polars -r", "-r needs a file"),
        ("-e polars", "./polars is not a folder"),
    ],
)
def test_words_that_are_no_packages(packages: str, told: str) -> None:
    with pytest.raises(PackageError, match=told):
        Request.parse(packages)


def test_blanks_around_comparisons() -> None:
    assert Request.parse("numpy >= 2, <3 polars").requirements == ("numpy<3,>=2", "polars")
