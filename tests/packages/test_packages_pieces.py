"""Layers are made of a piece for each distribution, built once: what is added leaves the rest as it is."""

from __future__ import annotations

import importlib
import os
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops_magic.errors import PackageError
from lithops_magic.packages import Request, Room, Supply, Target, local, supply
from lithops_magic.packages import layer as layers
from lithops_magic.packages.archive import join, zip_bytes
from lithops_magic.packages.build import build
from lithops_magic.packages.missing_module import explain
from lithops_magic.packages.need import need_of
from lithops_magic.packages.uv import Uv
from packages import installed_help as help

TARGET = Target.of("x86_64")
LARGE = 3 * 2**20


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two large distributions and two small ones."""
    folder = tmp_path / "site"
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(folder)
    for name in ("heavy_a", "heavy_b"):
        help.wheel(folder, name, {f"{name}/__init__.py": "", f"{name[-1]}.bin": os.urandom(LARGE)})
    for name in ("light_a", "light_b"):
        help.wheel(folder, name, {f"{name}/__init__.py": "x = 1"})
    importlib.invalidate_caches()
    return folder


def ship(*names: str, room: Room | None = None) -> Supply:
    need = need_of(dict.fromkeys(names, "imported"), Request())
    return supply(need, TARGET, lambda _: None, room or Room())


def contents(given: Supply) -> list[str]:
    found = []
    for one in given.built:
        with zipfile.ZipFile(one.path) as archive:
            assert archive.testzip() is None
            found += archive.namelist()
    return sorted(found)


def packages(given: Supply) -> list[list[str]]:
    return [sorted(entry.name for entry in one.packages) for one in given.built]


@pytest.mark.usefixtures("site")
def test_one_more_small_package_leaves_the_large_ones_layers_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ship("heavy_a", "heavy_b", "light_a")
    assert sorted(packages(first)) == [["heavy_a"], ["heavy_b"], ["light_a"]]
    large = {one.digest for one in first.layers if one.size > LARGE}
    # Nothing large is even compressed again.
    compressed: list[int] = []
    deflate = zlib.crc32
    monkeypatch.setattr(
        "lithops_magic.packages.archive.crc32", lambda data: (compressed.append(len(data)), deflate(data))[1]
    )
    second = ship("heavy_a", "heavy_b", "light_a", "light_b")
    assert sorted(packages(second)) == [["heavy_a"], ["heavy_b"], ["light_a", "light_b"]]
    assert {one.digest for one in second.layers if one.size > LARGE} == large
    assert compressed
    assert max(compressed) < 2000
    assert len(contents(second)) == len(set(contents(second)))
    assert set(contents(first)) < set(contents(second))


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(("free", "count"), [(5, 3), (2, 2), (1, 1)])
def test_there_are_never_more_layers_than_are_free(free: int, count: int) -> None:
    given = ship("heavy_a", "heavy_b", "light_a", room=Room(layers=free))
    assert (len(given.layers), given.archives) == (count, ())


@pytest.mark.usefixtures("site")
def test_what_is_too_much_for_layers_is_one_archive_and_what_is_too_much_for_tmp_is_told_before_it_is_zipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layers, "UNZIPPED_LIMIT", 2 * LARGE)
    monkeypatch.setattr("lithops_magic.packages.placement.UNZIPPED_LIMIT", 2 * LARGE)
    monkeypatch.setattr("lithops_magic.packages.placement.LEFT", 0)
    given = ship("heavy_a", "heavy_b", "light_a", room=Room(tmp=512))
    assert (given.layers, len(given.archives)) == ((), 1)
    monkeypatch.setattr("lithops_magic.packages.build.zip_file", lambda *_: pytest.fail("it was zipped"))
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", os.environ["LITHOPS_MAGIC_CACHE_DIR"] + "-other")
    with pytest.raises(PackageError, match=r"largest: heavy_\w 3 MB, heavy_\w 3 MB.* give it --tmp \d+") as caught:
        ship("heavy_a", "heavy_b", "light_a", room=Room(tmp=5))
    assert "\n" not in str(caught.value)


def test_a_changed_byte_changes_its_own_piece_alone(site: Path) -> None:
    first = {one.packages[0].name: one.digest for one in ship("heavy_a", "heavy_b").layers}
    (site / "a.bin").write_bytes(os.urandom(LARGE))
    second = {one.packages[0].name: one.digest for one in ship("heavy_a", "heavy_b").layers}
    assert first["heavy_a"] != second["heavy_a"]
    assert first["heavy_b"] == second["heavy_b"]


names = st.lists(st.text("abc/é", min_size=1, max_size=6).filter(lambda name: "//" not in name), unique=True)
archives = st.lists(names.flatmap(lambda some: st.fixed_dictionaries({name: st.binary(max_size=50) for name in some})))


@given(archives, st.sampled_from(["", "python/"]))
def test_joined_archives_hold_what_they_held_and_the_first_of_one_name(
    tmp_path_factory: pytest.TempPathFactory, parts: list[dict[str, bytes]], folder: str
) -> None:
    path = tmp_path_factory.mktemp("join") / "zip"
    join(path, [(zip_bytes(part.items()), folder) for part in parts])
    expected: dict[str, bytes] = {}
    for part in parts:
        expected = {**{f"{folder}{name}": data for name, data in part.items()}, **expected}
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == expected
        assert len(archive.namelist()) == len(expected)


def test_what_fits_is_asked_once_and_again_where_a_pure_package_demands_more(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    help.wheel(site, "regex", {"regex_y/__init__.py": "", "regex_y/c.so": "no ELF"}, version="2199.1.1")
    (site / "regex-2199.1.1.dist-info/WHEEL").write_text("Tag: cp311-cp311-manylinux_2_39_x86_64\n")
    help.wheel(site, "more", {"more_y/__init__.py": ""}, requires="regex>=2020")
    importlib.invalidate_caches()
    asked: list[object] = []
    call = Uv._compile
    monkeypatch.setattr(Uv, "_compile", lambda self, *given: (asked.append(given), call(self, *given))[1])

    def version(*modules: str) -> str:
        found = [entry for one in ship(*modules).built for entry in one.packages]
        return next(entry.version for entry in found if entry.name == "regex")

    newest = version("regex_y")
    assert asked
    asked.clear()
    assert version("regex_y", "more_y") == newest
    assert not asked
    help.wheel(site, "less", {"less_y/__init__.py": ""}, requires=f"regex!={newest}")
    importlib.invalidate_caches()
    assert version("regex_y", "more_y", "less_y") != newest
    assert asked
    # Without that demand, what was found with it is no longer the nearest.
    assert version("regex_y", "light_a") == newest


def test_a_large_package_of_the_users_own_is_compressed_once_for_each_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    help.write(tmp_path, {"own_large/__init__.py": "", "own_large/table.bin": os.urandom(2 * 2**20)})
    importlib.invalidate_caches()
    made: list[int] = []
    monkeypatch.setattr(local, "zip_bytes", lambda files: (made.append(1), zip_bytes(files))[1])

    def sources() -> bytes:
        return need_of({"own_large": "imported"}, Request()).sources

    first = sources()
    assert (sources(), made) == (first, [1])
    (tmp_path / "own_large/table.bin").write_bytes(os.urandom(2 * 2**20))
    second = sources()
    assert second != first
    assert (sources(), made) == (second, [1, 1])
    (tmp_path / "own_large/more.txt").write_text("more")
    assert sources() not in (first, second)


@pytest.mark.parametrize("word", ["off", "0", "No"])
def test_nothing_is_taken_out_where_trimming_is_off(site: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    files = {"whole_x/__init__.py": "", "whole_x/tests/__init__.py": "", "whole_x/tests/test_it.py": "", "lib.a": "x"}
    help.wheel(site, "whole", {**files, "whole_x/__pycache__/old.pyc": "bytecode"})
    importlib.invalidate_caches()
    shipped = {name.removeprefix("python/") for name in contents(ship("whole_x"))}
    assert shipped & files.keys() == {"whole_x/__init__.py"}
    monkeypatch.setenv("LITHOPS_MAGIC_TRIM", word)
    shipped = {name.removeprefix("python/") for name in contents(ship("whole_x"))}
    assert shipped & {*files, "whole_x/__pycache__/old.pyc"} == files.keys()
    monkeypatch.setenv("LITHOPS_MAGIC_TRIM", "on")
    assert {name.removeprefix("python/") for name in contents(ship("whole_x"))} < shipped


def test_a_module_of_tests_that_lacks_is_explained_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "LITHOPS_MAGIC_TRIM=off" in explain("numpy.tests.test_public_api")
    assert "LITHOPS_MAGIC_TRIM" not in explain("numpy.linalg")
    monkeypatch.setenv("LITHOPS_MAGIC_TRIM", "off")
    assert "LITHOPS_MAGIC_TRIM" not in explain("numpy.tests.test_public_api")


def test_build_returns_nothing_for_nothing(tmp_path: Path) -> None:
    from lithops_magic.packages.cache import Cache
    from lithops_magic.packages.resolution import Resolution

    assert build(Resolution(), [], Uv(TARGET), Cache(tmp_path), lambda _: None) == []
    assert layers.combine([], 5, Cache(tmp_path)) == ()
