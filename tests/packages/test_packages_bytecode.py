"""Layers have the bytecode of what importing loads, and none that could ever count for another source."""

from __future__ import annotations

import compileall
import importlib
import importlib.util
import marshal
import os
import py_compile
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.packages import Request, Room, Supply, Target, bytecode, supply
from lithops_magic.packages.compiler import compiled
from lithops_magic.packages.imports import imports_of_code
from lithops_magic.packages.need import need_of
from packages import installed_help as help

TARGET = Target.of("x86_64")

PARTS = {
    "loads_x/__init__.py": "from . import near\nfrom .deep.er import value\nimport loads_y\n",
    "loads_x/near.py": (
        "import typing\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from loads_x._typed import T\n"
        "if typing.TYPE_CHECKING:\n    from ._typed import U\nelse:\n    from . import _untyped\n"
        "class C:\n    from loads_x import _in_class\n"
        "def f():\n    from loads_x import _later\n"
        "try:\n    import loads_x._tried\nexcept ImportError:\n    pass\n"
    ),
    "loads_x/deep/__init__.py": "",
    "loads_x/deep/er.py": "value = 1",
    "loads_x/deep/unused.py": "",
    "loads_x/_typed.py": "T = U = int",
    "loads_x/_untyped.py": "",
    "loads_x/_in_class.py": "",
    "loads_x/_later.py": "",
    "loads_x/_tried.py": "",
    "loads_x/public.py": "from . import _for_public",
    "loads_x/_for_public.py": "",
    "loads_x/broken.py": "def (",
    "loads_x/latin.py": "# coding: latin-1\nx = '\xe4'".encode("latin-1"),
    "loads_y.py": "import sys",
    "loads_x/data/template-1.py": "{{ x }}",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path for distributions."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    return folder


def ship(*names: str) -> Supply:
    return supply(need_of(dict.fromkeys(names, "imported"), Request()), TARGET, lambda _: None, Room())


def contents(given: Supply) -> dict[str, bytes]:
    found = {}
    for one in given.built:
        with zipfile.ZipFile(one.path) as archive:
            found |= {name.removeprefix("python/"): archive.read(name) for name in archive.namelist()}
    return found


def cached(name: str) -> str:
    return importlib.util.cache_from_source(name, optimization="")


def compiled_sources(files: dict[str, bytes]) -> set[str]:
    return {name for name in files if cached(name) in files and name.endswith(".py")}


def test_what_importing_a_package_or_a_public_part_of_it_loads_has_bytecode(site: Path) -> None:
    help.wheel(site, "loads", PARTS)
    files = contents(ship("loads_x"))
    unused = {"_typed", "_later", "deep/unused", "broken", "data/template-1"}
    assert compiled_sources(files) == PARTS.keys() - {f"loads_x/{name}.py" for name in unused}


def test_bytecode_has_the_hash_of_the_source_beside_it_and_no_path_of_this_machine(site: Path) -> None:
    help.wheel(site, "loads", PARTS)
    files = contents(ship("loads_x"))
    for name in compiled_sources(files):
        data = files[cached(name)]
        assert data[:8] == importlib.util.MAGIC_NUMBER + b"\3\0\0\0"
        assert data[8:16] == importlib.util.source_hash(files[name])
        code = marshal.loads(data[16:])
        assert isinstance(code, types.CodeType)
        assert code.co_filename == f"/opt/python/{name}"
        assert str(site).encode() not in data


def test_the_same_packages_are_the_same_layer_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for number in range(2):
        folder = tmp_path / f"site-{'x' * number}"
        help.wheel(folder, "loads", PARTS)
        with monkeypatch.context() as patch:
            patch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / f"cache-{number}"))
            patch.setenv("PYTHONHASHSEED", str(number))
            patch.syspath_prepend(folder)
            importlib.invalidate_caches()
            if number:
                assert compileall.compile_dir(folder / "loads_x/deep", quiet=1)
            digests.append([one.digest for one in ship("loads_x").built])
    assert digests[0] == digests[1]


def _value(files: Mapping[str, bytes], name: str) -> object:
    found: dict[str, object] = {}
    exec(marshal.loads(files[cached(name)][16:]), found)
    return found["value"]


def _keep(source: Path, text: str, mode: py_compile.PycInvalidationMode) -> Path:
    """Have Python's own bytecode beside a source, of a text of the same length and time."""
    status, before = source.stat(), source.read_bytes()
    source.write_text(text)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    kept = py_compile.compile(str(source), invalidation_mode=mode)
    source.write_bytes(before)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert kept
    return Path(kept)


def test_what_python_has_compiled_here_is_what_is_shipped(site: Path) -> None:
    """Known by the value, which no source has: Python goes by time and size, and so runs this here as well."""
    help.wheel(site, "loads", PARTS)
    _keep(site / "loads_x/deep/er.py", "value = 9", py_compile.PycInvalidationMode.TIMESTAMP)
    files = contents(ship("loads_x"))
    assert _value(files, "loads_x/deep/er.py") == 9
    assert marshal.loads(files[cached("loads_x/deep/er.py")][16:]).co_filename == "/opt/python/loads_x/deep/er.py"
    help.write(site / "fetched", {"loads_x/deep/er.py": "value = 3"})
    fetched = {"loads_x/deep/er.py": site / "fetched/loads_x/deep/er.py"}
    # That of another version is not: its source is another one, of the same size.
    assert _value(bytecode.compiled(fetched, "/opt/python", str(site), columns=False), "loads_x/deep/er.py") == 3


@pytest.mark.parametrize(
    "mode", [py_compile.PycInvalidationMode.CHECKED_HASH, py_compile.PycInvalidationMode.UNCHECKED_HASH]
)
def test_bytecode_of_another_source_is_not_taken(tmp_path: Path, mode: py_compile.PycInvalidationMode) -> None:
    help.write(tmp_path, {"hashed.py": "value = 1"})
    _keep(tmp_path / "hashed.py", "value = 8", mode)
    made = bytecode.compiled({"hashed.py": tmp_path / "hashed.py"}, "/opt/python", "", columns=True)
    assert _value(made, "hashed.py") == 1


@pytest.mark.parametrize("length", [0, 4, 15, 16, 17, 40])
def test_damaged_bytecode_is_made_anew(tmp_path: Path, length: int) -> None:
    help.write(tmp_path, {"cut_off.py": "value = 1"})
    kept = Path(py_compile.compile(str(tmp_path / "cut_off.py")) or "")
    kept.write_bytes(kept.read_bytes()[:length])
    made = dict(compiled({"cut_off.py": str(tmp_path / "cut_off.py")}, "/opt/python"))
    assert _value(made, "cut_off.py") == 1
    assert len(kept.read_bytes()) == length  # nothing here is written


def test_a_changed_source_changes_its_bytecode_with_it(site: Path) -> None:
    help.wheel(site, "loads", PARTS)
    ship("loads_x")
    (site / "loads_x/deep/er.py").write_text("value = 2")
    files = contents(ship("loads_x"))
    name = "loads_x/deep/er.py"
    found: dict[str, object] = {}
    exec(marshal.loads(files[cached(name)][16:]), found)
    assert (files[name], found["value"]) == (b"value = 2", 2)


def test_bytecode_never_counts_for_another_source_of_its_name(tmp_path: Path) -> None:
    """As when a layer of the user's own has another version of the file, which is unpacked over ours."""
    source = tmp_path / "same_name.py"
    source.write_text("x = 1")
    [(name, data)] = compiled({"same_name.py": str(source)}, "/opt/python")
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_bytes(data)
    source.write_text("x = 2")
    told = subprocess.run(
        [sys.executable, "-S", "-c", "import same_name; print(same_name.x)"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert told.stdout == b"2\n"


def test_columns_are_kept_where_a_package_reads_them(site: Path) -> None:
    help.wheel(site, "asks", {"asks_x.py": "def f():\n    return 1"})
    help.wheel(site, "executing", {"executing/__init__.py": ""})

    def columns(*names: str) -> set[int | None]:
        code = marshal.loads(contents(ship(*names))[cached("asks_x.py")][16:])
        return {column for *_, column in code.co_positions()}

    assert columns("asks_x") == {None}
    assert columns("asks_x", "executing") > {0}
    # Each is a layer of its own, whichever was built first.
    assert columns("asks_x") == {None}


def test_no_bytecode_is_made_for_another_python() -> None:
    assert bytecode.kind(TARGET) == importlib.util.MAGIC_NUMBER.hex()
    assert bytecode.kind(Target(TARGET.minor + 1, "arm64")) == ""


def test_a_task_loads_the_bytecode(site: Path, run: Callable[..., MapResult]) -> None:
    help.wheel(site, "loads", PARTS)

    def look(_: int) -> tuple[bool, str]:
        import loads_x.deep.er as module  # type: ignore[import-not-found]

        # Columns of positions are left out of what was compiled here, and only there.
        positions = {end for *_, end in module.__loader__.get_code(module.__name__).co_positions()}
        return positions == {None}, module.__file__

    assert run(look).values() == [(True, "/opt/python/loads_x/deep/er.py")]


IMPORTS = st.sampled_from(
    ["import gen.{}", "from gen import {}", "from . import {}", "from .{} import __name__ as n", "x = 1 and 2"]
)
MODULES = ["a", "_b", "_c", "_d"]


@given(st.lists(st.lists(st.tuples(IMPORTS, st.sampled_from(MODULES)), max_size=3), min_size=5, max_size=5))
@settings(max_examples=12, deadline=None)
def test_all_that_python_loads_is_compiled(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[tuple[str, str]]]
) -> None:
    folder = tmp_path_factory.mktemp("generated")
    names = ["gen/__init__.py", *(f"gen/{module}.py" for module in MODULES)]
    # More names than one byte counts.
    many = "\n".join(f"name_{number} = '{number}'" for number in range(300))
    for name, lines in zip(names, texts, strict=True):
        body = "\n".join(f"try:\n    {line.format(module)}\nexcept ImportError: pass" for line, module in lines)
        help.write(folder, {name: f"{many}\n{body}"})
    show = "import gen, sys; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('gen')), sep='\\n')"
    told = subprocess.run(
        [sys.executable, "-S", "-B", "-c", show], cwd=folder, capture_output=True, text=True, check=True
    )
    loaded = {Path(line).relative_to(folder).as_posix() for line in told.stdout.splitlines()}
    assert {cached(name) for name in loaded} <= {
        name for name, _ in compiled({name: str(folder / name) for name in names}, "/opt/python")
    }


def test_imports_are_seen_behind_more_names_than_one_byte_counts() -> None:
    many = "\n".join(f"name_{number} = {number + 1000}" for number in range(300))
    code = compile(f"{many}\nimport json.decoder\nfrom email import message", "cell", "exec")
    assert {"json.decoder", "email", "email.message"} <= imports_of_code([code])
