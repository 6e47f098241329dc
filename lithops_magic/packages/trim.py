"""Takes out of a folder of packages what no program imports."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lithops_magic.packages.elf import strip
from lithops_magic.packages.imports import imports_of_file

_METADATA = ("METADATA", "PKG-INFO", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt")
"""What programs read of it: RECORD tells them which distribution has a module."""

VARIABLE = "LITHOPS_MAGIC_TRIM"
"""Set to ``off``, it leaves packages as they are; only bytecode goes."""
_TESTS_IMPORTED = re.compile(rb"^[ \t]*(?:from|import)\b(?:[^\n#(]*|[^\n#(]*\([^)]*)\btests\b", re.MULTILINE)
"""Whether it is worth while to look at the imports of a file."""


def trim(folder: Path) -> None:
    """Remove what no program imports: tests, bytecode, static libraries, debug symbols and installers' notes.

    Type stubs stay: `lazy_loader` reads from them what a package has.
    """
    for path in list(folder.rglob("__pycache__")):
        shutil.rmtree(path, ignore_errors=True)
    if not trims():
        return
    for top in folder.iterdir():
        if top.name.endswith(".dist-info"):
            _trim_metadata(top)
        elif top.is_dir():
            _trim_tests(top)
    for path in list(folder.rglob("*")):
        if path.suffix == ".a" or path.name == ".lock":
            path.unlink(missing_ok=True)
        elif path.is_file():
            strip(path)


def trims() -> bool:
    """Whether anything is taken out."""
    return os.environ.get(VARIABLE, "").lower() not in ("off", "0", "no", "false")


def _trim_metadata(folder: Path) -> None:
    for path in list(folder.iterdir()):
        is_licence = path.name.lower().startswith(("licen", "copying", "notice", "authors"))
        if not is_licence and path.name not in _METADATA:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _trim_tests(top: Path) -> None:
    """Remove packages of tests, but for the modules of them that others import."""
    suites = [path for path in top.rglob("tests") if _is_suite(path)]
    used = _used(top) if suites else set()
    for suite in suites:
        if not any(path.is_relative_to(suite) for path in used):
            shutil.rmtree(suite, ignore_errors=True)
            continue
        for path in suite.rglob("*.py"):
            if path not in used and path.name != "__init__.py":
                path.unlink()


def _is_suite(folder: Path) -> bool:
    return (folder / "__init__.py").is_file() or next(folder.glob("test_*.py"), None) is not None


def _used(top: Path) -> set[Path]:
    """Return the test modules that are imported from outside of tests, and what they import of tests in turn."""
    used: set[Path] = set()
    waiting = [path for path in top.rglob("*.py") if "tests" not in path.parts and path.name != "conftest.py"]
    while waiting:
        path = waiting.pop()
        if path not in used and not _TESTS_IMPORTED.search(path.read_bytes()):
            continue
        parts = path.relative_to(top.parent).parent.parts
        for name in imports_of_file(path, ".".join(parts)):
            for file in _files(top.parent, name):
                if file not in used:
                    used.add(file)
                    waiting.append(file)
    return used


def _files(root: Path, module: str) -> Iterator[Path]:
    parts = module.split(".")
    if "tests" in parts:
        path = root.joinpath(*parts)
        yield from (file for file in (path / "__init__.py", path.with_name(f"{path.name}.py")) if file.is_file())
