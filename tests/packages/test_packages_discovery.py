"""What is found by looking at pickles, code and environments, without building anything."""

from __future__ import annotations

import pickle
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import cloudpickle
import numpy as np
import pytest

from lithops_magic.packages import Request, Target, discover, dumps
from lithops_magic.packages.archive import zip_bytes
from lithops_magic.packages.distributions import close
from lithops_magic.packages.imports import imports_of_code
from lithops_magic.packages.need import need_of
from lithops_magic.worker import packing


def found(function: object, items: object = ()) -> list[str]:
    return [unit.name for unit, _ in discover(dumps(function)[1], items, Request()).units]


def test_the_pickle_is_cloudpickle_s_own() -> None:
    for value in (np.sin, [1, {"a": np.arange(3)}], Path("a"), types.ModuleType("made")):
        assert dumps(value)[0] == cloudpickle.dumps(value, protocol=5)


def test_code_keeps_the_name_of_its_file_and_works() -> None:
    def outer(a: int, *, b: int = 2) -> int:
        return (lambda c: a + b + c)(1)

    for copy in (pickle.loads(dumps(outer)[0]), packing.loads(packing.dumps([outer]))[0]):
        assert (copy(3), copy(3, b=4)) == (6, 8)
        assert copy.__code__ == outer.__code__
        codes = [copy.__code__, *(const for const in copy.__code__.co_consts if hasattr(const, "co_name"))]
        assert {code.co_filename for code in codes} == {__file__}


def test_what_code_imports() -> None:
    def outer() -> Iterator[object]:
        import a.b as renamed
        from c import d, e

        def inner() -> object:
            import f

            return __import__("g.h"), f, renamed, d, e

        yield inner

    assert {"a.b", "c", "c.d", "c.e", "f", "g.h"} <= imports_of_code([outer.__code__])


def test_modules_that_are_named_by_strings() -> None:
    def loads(name: str) -> object:
        import importlib.resources
        import pkgutil

        importlib.import_module("mine." + name)
        pkgutil.resolve_name("other.part:value")
        pkgutil.get_data("third", "no/module.yaml")
        return importlib.resources.files("fourth"), f"fifth.{name}"

    named = {"mine", "other.part", "third", "fourth", "fifth"}
    assert {one for one in imports_of_code([loads.__code__]) if not one.startswith(("importlib", "pkgutil"))} == named
    # Anything may have files.
    assert imports_of_code([(lambda archive: (archive.files, "torch")).__code__]) == set()


def test_modules_functions_classes_and_values_are_seen() -> None:
    assert found(lambda: np.pi) == ["numpy"]
    assert found(lambda: np) == ["numpy"]
    array, sine = np.ones(2), np.sin
    assert found(lambda: array) == ["numpy"]
    assert found(lambda: sine) == ["numpy"]
    assert found(len, [np.float64(1)]) == ["numpy"]
    assert found(len, np.ones(2)) == ["numpy"]


def test_nothing_is_needed_for_what_every_sandbox_has() -> None:
    def plain(x: int) -> object:
        import collections.abc
        import json

        import cloudpickle

        return json, collections, cloudpickle, x

    need = discover(dumps(plain)[1], [1, "a", {2}], Request())
    assert need.units == ()
    assert need.sources == b""


def test_another_boto3_than_lambda_s_is_left_to_be_told() -> None:
    # Which one Lambda has differs by region and day: the worker says so where it is not the notebook's.
    need = discover(dumps(lambda: boto3.client("s3"))[1], (), Request())
    assert need.versions == {"boto3": boto3.__version__}
    assert close(need.units, (), (), Target(12, "x86_64")).parts == {}


def test_a_generator_is_not_touched() -> None:
    items = iter([np.float64(1)])
    assert found(len, items) == []
    assert next(items) == 1


def test_a_module_is_found_in_a_distribution_of_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2/__init__.py").touch()
    folder = tmp_path / "opencv_python_headless-4.12.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-python-headless\nVersion: 4.12.0\n")
    (folder / "WHEEL").write_text("Tag: cp312-abi3-manylinux_2_17_x86_64\n")
    (folder / "RECORD").write_text("cv2/__init__.py,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    closure = close(need_of({"cv2": "imported"}, Request()).units, (), (), Target(12, "x86_64"))
    assert [part.pin for part in closure.parts.values()] == ["opencv-python-headless==4.12.0"]


def test_only_what_is_required_on_lambda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(name: str, *requires: str) -> None:
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        lines = [f"Name: {name}", "Version: 1", *(f"Requires-Dist: {text}" for text in requires)]
        (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines]))
        (folder / "WHEEL").write_text("Tag: py3-none-any\n")
        (folder / "RECORD").write_text(f"{name}.py,,\n{name}-1.dist-info/METADATA,,\n")
        (tmp_path / f"{name}.py").touch()

    install(
        "top_x",
        "linux-x ; sys_platform == 'linux'",
        "win-x ; sys_platform == 'win32'",
        "more-x[fast]",
        "boto3",
        "ipython",
    )
    install("linux_x", "old-x ; python_version < '3'", "absent-x ; platform_machine == 'aarch64'")
    install("more_x", "quick-x ; extra == 'fast'", "tests-x ; extra == 'test'", "top-x", "boto3", "ipython")
    install("quick_x")
    monkeypatch.syspath_prepend(tmp_path)
    units = need_of({"top_x": "imported"}, Request()).units
    closure = close(units, (), (), Target(12, "x86_64"))
    assert sorted(closure.parts) == ["linux-x", "more-x", "quick-x", "top-x"]
    assert closure.not_installed == {}
    assert list(close(units, (), (), Target(12, "arm64")).not_installed) == ["absent-x"]


@pytest.mark.parametrize(
    ("requires", "shipped"),
    [("boto3", False), ("boto3>=1.2,<2", False), ("botocore>=1.43,<1.50", True), (f"boto3=={boto3.__version__}", True)],
)
def test_aws_s_sdk_is_shipped_as_a_whole_to_what_insists_on_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requires: str, shipped: bool
) -> None:
    folder = tmp_path / "insists-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: insists\nVersion: 1\nRequires-Dist: {requires}\n")
    (folder / "RECORD").write_text("insists.py,,\n")
    (tmp_path / "insists.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    closure = close(need_of({"insists": "imported"}, Request()).units, (), (), Target(12, "x86_64"))
    assert {"boto3", "botocore", "s3transfer", "jmespath", "urllib3"}.issubset(closure.parts) == shipped
    assert shipped or closure.parts.keys() == {"insists"}


def test_imports_that_only_type_checkers_see_are_not_followed(project: Callable[..., Path]) -> None:
    project(
        {
            "typed_x.py": "import typing\nif typing.TYPE_CHECKING:\n    import numpy\nelse:\n    import yaml",
        }
    )
    assert [unit.name for unit, _ in need_of({"typed_x": "imported"}, Request()).units] == ["yaml"]


@pytest.mark.parametrize(
    ("minor", "architecture", "tag"),
    [
        (11, "x86_64", "x86_64-manylinux_2_17"),
        (12, "arm64", "aarch64-manylinux_2_34"),
        (14, "x86_64", "x86_64-manylinux_2_34"),
    ],
)
def test_the_platform_of_each_runtime(minor: int, architecture: str, tag: str) -> None:
    assert Target(minor, architecture).uv_platform == tag


def test_archives_are_reproducible(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"2")
    files = [("b", tmp_path / "b"), ("a", b"1")]
    assert zip_bytes(files) == zip_bytes(reversed(files))
