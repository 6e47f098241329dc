"""What is installed is shipped as it is now: edited, built again, or written down badly or not at all."""

from __future__ import annotations

import compileall
import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops_magic.packages import Request, Room, Target, fingerprint, supply
from lithops_magic.packages.metadata import name_of, requires_of, version_of
from lithops_magic.packages.need import need_of
from packages import installed_help as help
from thorough import WITH_FIXTURES, share

Run = Callable[..., object]
TARGET = Target.of("x86_64")
FILES = {
    "prices/__init__.py": "from prices.table import TABLE\n",
    "prices/table.py": "TABLE = 1\n",
    "prices/data/rates.csv": b"\x00\x01binary",
    "prices/__init__.pyi": "TABLE: int\n",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in (getattr(module, "__file__", None) or ""):
            del sys.modules[name]


def state(module: str) -> str:
    importlib.invalidate_caches()
    return fingerprint(need_of({module: "imported"}, Request()), TARGET)


def shipped(module: str) -> dict[str, bytes]:
    """The files of the layer."""
    import zipfile

    importlib.invalidate_caches()
    [layer] = supply(need_of({module: "imported"}, Request()), TARGET, lambda _: None, Room()).layers
    with zipfile.ZipFile(layer.path) as archive:
        return {name.removeprefix("python/"): archive.read(name) for name in archive.namelist()}


@settings(
    max_examples=share(20, 100),
    deadline=None,
    suppress_health_check=WITH_FIXTURES,
)
@given(
    name=st.sampled_from([*FILES, "prices-1.dist-info/METADATA"]),
    position=st.integers(0, 5),
    keeps_time=st.booleans(),
    is_linked=st.booleans(),
)
def test_a_byte_of_anything_that_is_shipped_makes_another_layer(
    site: Path, name: str, position: int, keeps_time: bool, is_linked: bool
) -> None:
    shutil.rmtree(site / "prices", ignore_errors=True)
    shutil.rmtree(site / "prices-1.dist-info", ignore_errors=True)
    help.wheel(site, "prices", FILES)
    path, other = site / name, site / "elsewhere"
    other.unlink(missing_ok=True)
    if is_linked:
        other.hardlink_to(path)
    before = state("prices")
    assert state("prices") == before
    status, data = path.stat(), bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    if keeps_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert state("prices") != before


def test_a_link_into_another_environment_leaves_the_layer_as_it_is(site: Path) -> None:
    help.wheel(site, "prices", FILES)
    for number, name in enumerate(FILES):
        (site / f"one-{number}").hardlink_to(site / name)
    before = state("prices")
    for number, name in enumerate(FILES):
        (site / f"two-{number}").hardlink_to(site / name)
    assert state("prices") == before


@pytest.mark.parametrize("is_linked", [False, True])
def test_an_own_module_edited_within_its_size_and_time_is_read_again(site: Path, is_linked: bool) -> None:
    help.write(site, {"own_top.py": "import own_one\n", "own_one.py": "", "own_two.py": ""})
    path = site / "own_top.py"
    if is_linked:
        (site / "elsewhere").hardlink_to(path)
    importlib.invalidate_caches()
    assert {unit.name for unit in need_of({"own_top": "imported"}, Request()).own} == {"own_top", "own_one"}
    status = path.stat()
    while path.stat().st_ctime_ns == status.st_ctime_ns:  # until the clock of the file system ticks
        path.write_text("import own_two\n")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert {unit.name for unit in need_of({"own_top": "imported"}, Request()).own} == {"own_top", "own_two"}


def test_a_wheel_built_again_with_the_same_version_is_the_one_that_runs(site: Path, run: Run) -> None:
    def use(x: int) -> tuple[int, str]:
        from importlib.resources import files

        import prices

        return prices.TABLE, files("prices").joinpath("data/rates.csv").read_text()

    for table, rates in ((1, "old"), (2, "old"), (2, "new")):
        shutil.rmtree(site / "prices", ignore_errors=True)
        help.wheel(site, "prices", {**FILES, "prices/table.py": f"TABLE = {table}\n", "prices/data/rates.csv": rates})
        importlib.invalidate_caches()
        assert list(run(use).values()) == [(table, rates)]  # type: ignore[attr-defined]


def test_a_file_edited_in_a_package_of_which_the_index_has_a_build(site: Path) -> None:
    import markupsafe

    folder = Path(markupsafe.__file__).parent
    shutil.copytree(folder, site / "markupsafe")
    metadata = next(folder.parent.glob("[mM]arkup[sS]afe-*.dist-info"))
    shutil.copytree(metadata, site / metadata.name)
    (site / "markupsafe/_native.py").write_text("EDITED = True\n")
    module = sys.modules.pop("markupsafe")
    try:
        assert shipped("markupsafe")["markupsafe/_native.py"] == b"EDITED = True\n"
    finally:
        sys.modules["markupsafe"] = module


LEGACY = {
    "old_style.py": "VALUE = 1\n",
    "old_style-1.egg-info/PKG-INFO": "Metadata-Version: 1.0\nName: old-style\nVersion: 1\n",
    "old_style-1.egg-info/top_level.txt": "old_style\n",
}


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(
            {**LEGACY, "old_style-1.egg-info/installed-files.txt": "../old_style.py\nPKG-INFO\n"}, id="setup.py"
        ),
        pytest.param(LEGACY, id="no list of files"),
        pytest.param({"old_style.py": "VALUE = 1\n", "old_style-1.dist-info/INSTALLER": "conda"}, id="no METADATA"),
        pytest.param(
            {"old_style.py": "VALUE = 1\n", "old_style-1-py3.11.egg-info": "Name: old-style\nVersion: 1\n"},
            id="distutils",
        ),
        pytest.param(
            {
                "old_style/__init__.py": "from . import part\n",
                "old_style/part.py": "",
                "old_style-1.dist-info/METADATA": "Name: old-style\nVersion: ?\nRequires-Dist: six (>=1.5.*)\n",
                "old_style-1.dist-info/WHEEL": "Tag: py3-none-any\n",
                "old_style-1.dist-info/RECORD": 'old_style/__init__.py,,\nold_style/part.py\n\0\n"x\n,,,\n../passwd,,',
            },
            id="hostile",
        ),
    ],
)
def test_distributions_that_say_little_of_themselves_are_shipped(site: Path, files: dict[str, str]) -> None:
    # One that is well-formed makes it a folder of packages.
    help.wheel(site, "neighbour", {"neighbour.py": ""})
    help.write(site, files)
    found = shipped("old_style")
    assert {name for name in files if name.endswith(".py")} <= set(found)
    assert not any("passwd" in name for name in found)


def test_a_module_without_its_source_is_shipped(site: Path) -> None:
    help.wheel(
        site, "sealed", {"sealed/__init__.py": "VALUE = 7\n", "sealed/__pycache__/x.pyc": b"", "sealed/a.py": ""}
    )
    compileall.compile_file(site / "sealed/__init__.py", legacy=True, quiet=1)
    (site / "sealed/__init__.py").unlink()
    record = site / "sealed-1.dist-info/RECORD"
    record.write_text(record.read_text().replace("sealed/__init__.py", "sealed/__init__.pyc"))
    found = shipped("sealed")
    assert "sealed/__init__.pyc" in found
    assert "sealed/__pycache__/x.pyc" not in found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("six (>=1.5.*)", ["six"]),
        ("six (>=1.5)", ["six"]),
        ("six; python_version >= '3' and extra_thing == 'x'", ["six"]),
        ("six >= 1.0, ; python_version < '3'", ["six"]),
        ("", []),
        ("???", []),
        ("a\xff", ["a"]),
    ],
)
def test_requirements_that_are_not_valid_count_by_their_names(site: Path, text: str, names: list[str]) -> None:
    import importlib.metadata

    help.wheel(site, "hostile", {"hostile.py": ""}, requires=text)
    found = requires_of(importlib.metadata.distribution("hostile"))
    assert [requirement.name for requirement in found] == names


@settings(
    max_examples=share(25, 200),
    deadline=None,
    suppress_health_check=WITH_FIXTURES,
)
@given(
    metadata=st.binary(max_size=200),
    record=st.one_of(st.just(b""), st.binary(max_size=200)),
    wheel=st.binary(max_size=60),
    top_level=st.one_of(
        st.binary(max_size=60), st.sampled_from([b"/", b"..", b"../odd", b"odd/", b"x" * 3000, b"odd"])
    ),
    url=st.one_of(
        st.binary(max_size=60), st.sampled_from([b"[]", b'{"dir_info": 1}', b'{"dir_info": {"editable": true}}'])
    ),
)
def test_no_metadata_whatever_ends_in_an_exception(
    site: Path, metadata: bytes, record: bytes, wheel: bytes, top_level: bytes, url: bytes
) -> None:
    import importlib.metadata

    folder = "odd-1.dist-info"
    texts = {"METADATA": metadata, "RECORD": record, "WHEEL": wheel, "top_level.txt": top_level, "direct_url.json": url}
    help.write(site, {"odd.py": "", **{f"{folder}/{name}": data for name, data in texts.items()}})
    distribution = importlib.metadata.Distribution.at(site / folder)
    assert name_of(distribution)
    assert version_of(distribution)
    state("odd")


def test_programs_of_packages_are_found_and_run(site: Path, run: Run) -> None:
    def use(x: int) -> tuple[str, str]:
        import subprocess

        import tooled

        shown = subprocess.run(["tooled", str(x)], capture_output=True, text=True, check=True)
        return tooled.NAME, shown.stdout.strip()

    root = site / "lib/site-packages"
    sys.path.insert(0, str(root))
    try:
        help.wheel(root, "tooled", {"tooled.py": "NAME = 'tooled'\n"})
        help.write(site, {"bin/tooled": f"#!{sys.executable}\nimport sys, tooled\nprint(tooled.NAME, sys.argv[1])\n"})
        (site / "bin/tooled").chmod(0o755)
        with (root / "tooled-1.dist-info/RECORD").open("a") as record:
            record.write("../../bin/tooled,,\n")
        importlib.invalidate_caches()
        assert list(run(use, [3]).values()) == [("tooled", "tooled 3")]  # type: ignore[attr-defined]
    finally:
        sys.path.remove(str(root))


def test_sizes_are_those_of_the_files_that_each_distribution_lists(site: Path) -> None:
    help.wheel(
        site, "big_name", {"another/__init__.py": "", "big_name.libs/lib.txt": "x" * 5000, "another/y.py": "y" * 300}
    )
    [layer] = supply(need_of({"another": "imported"}, Request()), TARGET, lambda _: None, Room()).layers
    [package] = layer.packages
    assert package.size == layer.unzipped


def test_a_package_that_two_distributions_share_is_shipped_from_both(site: Path) -> None:
    shared = {"shared_top/__init__.py": "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"}
    help.wheel(site, "shared_one", {**shared, "shared_top/one.py": ""})
    help.wheel(site, "shared_two", {**shared, "shared_top/two/__init__.py": "", "shared_top/two/data.txt": ""})
    assert {"shared_top/__init__.py", "shared_top/two/data.txt"} <= shipped("shared_top.two").keys()
    assert "shared_top/one.py" in shipped("shared_top.one")


def test_a_package_that_two_folders_share_is_shipped_from_both(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = {"split_top/__init__.py": "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"}
    help.wheel(site, "split_one", {**shared, "split_top/one.py": "", "apart/__init__.py": ""})
    # As the user's own folder of packages beside the system's.
    other = tmp_path / "user_site"
    files = {**shared, "split_top/two/__init__.py": "", "split_top/two/data.txt": "", "apart/two.py": ""}
    help.wheel(other, "split_two", files)
    monkeypatch.syspath_prepend(other)
    monkeypatch.setattr(sys, "path", [*sys.path[1:], sys.path[0]])
    importlib.invalidate_caches()
    assert {"split_top/one.py", "split_top/two/data.txt"} <= shipped("split_top.two").keys()
    # A package that does not extend its path has none of that.
    assert "apart/two.py" not in shipped("apart.two")


def test_metadata_in_another_encoding_says_what_is_required(site: Path) -> None:
    help.wheel(site, "needed_one", {"needed_one.py": ""})
    metadata = "Name: latin\nVersion: 1\nAuthor: Ren\xe9\nRequires-Dist: needed-one\n\nRequires-Dist: no-such-x\n"
    folder = "latin-1.dist-info"
    help.write(
        site, {"latin.py": "", f"{folder}/METADATA": metadata.encode("latin1"), f"{folder}/RECORD": "latin.py,,"}
    )
    help.write(site, {f"{folder}/WHEEL": "Tag: py3-none-any"})
    assert {"latin.py", "needed_one.py"} <= shipped("latin").keys()


def test_metadata_that_an_interrupted_upgrade_left_behind_count_for_nothing(site: Path) -> None:
    for version in (1, 2, 3):
        files = {"upgraded/__init__.py": f"V = {version}\n", f"upgraded/of_{version}.py": f"W = {version}\n"}
        help.wheel(site, "upgraded", files, version=str(version))
    (site / "upgraded/of_1.py").unlink()
    found = shipped("upgraded")
    assert {"upgraded/of_3.py", "upgraded-3.dist-info/METADATA"} <= set(found)
    assert not {"upgraded-1.dist-info/METADATA", "upgraded-2.dist-info/METADATA"} & set(found)


def test_modules_that_no_distribution_owns_bring_what_they_import_and_linked_data(site: Path, tmp_path: Path) -> None:
    help.wheel(site, "neighbour", {"neighbour_x.py": ""})
    outside = site.parent / f"{site.name}-linked"
    help.write(outside, {"rows.csv": "1"})
    help.write(site, {"copied_in/__init__.py": "from copied_in import deep", "copied_in/deep.py": "import copied_too"})
    help.write(site, {"copied_too.py": "import neighbour_x", "copied_in/.kept/x": ""})
    (site / "copied_in/data").symlink_to(outside)
    found = shipped("copied_in")
    assert {"copied_too.py", "neighbour_x.py", "copied_in/data/rows.csv", "copied_in/.kept/x"} <= set(found)


def test_a_distribution_whose_folder_misleads_importlib_is_still_the_one_installed_here(site: Path) -> None:
    help.wheel(site, "no-such-thing-x", {"misled_x/__init__.py": "V = 1\n", "misled_x/d.txt": ""})
    assert "misled_x/d.txt" in shipped("misled_x")


@pytest.mark.parametrize("metadata", ["Name: ../../evil\nVersion: 7", "Name: calm\nVersion: 1/../../x", "Name: -"])
def test_no_name_or_version_leads_elsewhere(site: Path, metadata: str) -> None:
    import importlib.metadata

    help.write(site, {"calm-7.dist-info/METADATA": metadata})
    distribution = importlib.metadata.Distribution.at(site / "calm-7.dist-info")
    assert (name_of(distribution), version_of(distribution)) == ("calm", "7")


def test_files_that_no_installer_listed_are_shipped_with_their_package(site: Path) -> None:
    help.wheel(site, "prices", FILES)
    help.wheel(site, "prices_more", {"prices/plug/__init__.py": "", "prices/plug/of_another.txt": "more"})
    help.write(site, {"prices/__init__.pyc": "x", "prices/__pycache__/a.pyc": "x", "prices/.hidden": "x"})
    help.write(site, {"prices/built.cpython-311-x86_64-linux-gnu.so": "x", "beside.txt": "x"})
    before, files = state("prices"), set(shipped("prices"))
    assert not any(name.endswith((".hidden", "of_another.txt", "beside.txt", ".so")) for name in files)
    for name in ("prices/models/large/weights.bin", "prices/data/own.csv", "prices/models/large/more.bin"):
        help.write(site, {name: f"contents of {name}"})
        assert state("prices") != before
        before = state("prices")
        assert set(shipped("prices")) == files | {name}
        assert shipped("prices")[name].decode() == f"contents of {name}"
        files |= {name}
    (site / "prices/data/own.csv").write_text("edited")
    assert state("prices") != before
    assert shipped("prices")["prices/data/own.csv"] == b"edited"
    (site / "prices/data/own.csv").unlink()
    assert set(shipped("prices")) == files - {"prices/data/own.csv"}
