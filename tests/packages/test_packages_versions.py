"""Versions of which Lambda can have no build: local builds, other spellings, what is years old."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import PackageError
from lithops_magic.packages import Request, Target, pin
from lithops_magic.packages.need import need_of
from lithops_magic.packages.resolve import Resolution
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


@pytest.mark.parametrize(("name", "version"), [("lightgbm", "4.7.0"), ("onnxruntime", "1.32.0")])
def test_what_is_years_old_is_no_stand_in_unless_it_is_asked_for(site: Path, name: str, version: str) -> None:
    with pytest.raises(PackageError, match=f"There is no build of {name} {version} .* years old") as caught:
        chosen(site, name, version, Target(11, "x86_64"))
    text = str(caught.value)
    assert all(words in text for words in (f"--packages {name}==", "Python 3.12", "lithops-magic image"))
    assert "\n" not in text


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
