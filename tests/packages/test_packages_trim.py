"""What is taken out of a layer: nothing that a program could load."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from lithops_magic.packages.elf import strip
from lithops_magic.packages.trim import trim

LOADED = b"code and constants" * 10


def library(*sections: str, behind: bytes = b"") -> bytes:
    """A library with one segment, then sections that are not loaded, their table, and what is put behind them."""
    names = b"\0" + b"".join(f"{name}\0".encode() for name in (*sections, ".shstrtab"))
    contents = [*(b"for tools" for _ in sections), names]
    start = end = 64 + 56 + len(LOADED)
    table = [struct.pack("<IIQQQQIIQQ", *[0] * 10)]
    for name, content in zip((*sections, ".shstrtab"), contents, strict=True):
        table.append(struct.pack("<IIQQQQIIQQ", names.index(name.encode()), 1, 0, 0, end, len(content), 0, 0, 1, 0))
        end += len(content)
    magic = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<16sHHIQQQIHHHHHH", magic, 3, 62, 1, 0, 64, end, 0, 64, 56, 1, 64, len(table), len(table) - 1)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, start, start, 4096)
    return header + segment + LOADED + b"".join(contents) + b"".join(table) + behind


def test_symbols_are_cut_off_and_the_rest_stays() -> None:
    data = library(".symtab", ".strtab", ".debug_info", ".comment")
    left = strip(data)
    assert left.endswith(LOADED)
    assert (left[:40], left[64:]) == (data[:40], data[64 : len(left)])
    assert struct.unpack_from("<Q4xHHHHHH", left, 40) == (0, 64, 56, 1, 64, 0, 0)
    assert strip(left) == left


@pytest.mark.parametrize(
    "data",
    [
        library(".symtab", ".program_reads_me"),
        library(".symtab", behind=b"an archive that the program reads"),
        library(".symtab")[:-30],
        library(".symtab")[:80],
        b"\x7fELF\x01\x01" + library(".symtab")[6:],
        b"#!/bin/sh\n" + b"x" * 100,
        b"",
    ],
)
def test_what_may_be_read_stays(data: bytes) -> None:
    assert strip(data) == data


def test_what_no_program_imports_is_removed(tmp_path: Path) -> None:
    kept = [
        "shop/__init__.py",
        "shop/py.typed",
        "shop/data/table.csv",
        "shop/data/tests/not_a_package.txt",
        "uses/__init__.py",
        "uses/conftest.py",
        "uses/core/tests/__init__.py",
        "uses/core/tests/helper.py",
        "uses/core/tests/deeper.py",
        "uses/core/tests/data.json",
        "uses/more/tests/relative.py",
        # lazy_loader reads from it what a package has.
        "shop/__init__.pyi",
        # A module without its source.
        "shop/only.pyc",
        "bin/shop",
        "shop-1.dist-info/METADATA",
        "shop-1.dist-info/RECORD",
        "shop-1.dist-info/licenses/LICENSE",
    ]
    removed = [
        "shop/__pycache__/__init__.cpython-312.pyc",
        "shop/core/tests/__init__.py",
        "shop/core/tests/data.json",
        "uses/core/tests/test_core.py",
        "uses/more/tests/test_more.py",
        "uses/tests/__init__.py",
        "uses/tests/test_all.py",
        "shop/lib.a",
        "shop-1.dist-info/INSTALLER",
    ]
    for name in kept + removed:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "uses/__init__.py").write_text(
        "from uses.core.tests import helper\nfrom .more.tests.relative import x\n"
    )
    (tmp_path / "uses/core/tests/helper.py").write_text("from .deeper import y\n")
    (tmp_path / "uses/conftest.py").write_text("from uses.tests import test_all\n")
    assert sorted(trim({name: tmp_path / name for name in kept + removed})) == sorted(kept)
