"""Takes out of a folder of packages what no program imports."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lithops_magic.packages.elf import strip

_METADATA = ("METADATA", "WHEEL", "entry_points.txt", "top_level.txt")
_TESTS_USED = re.compile(rb"^\s*(?:from|import)\s+[\w.]*\.tests\b", re.MULTILINE)


def trim(folder: Path) -> None:
    """Remove what no program imports: tests, type stubs, bytecode, static libraries, debug symbols, programs and
    installers' notes.
    """
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for top in folder.iterdir():
        if top.name.endswith(".dist-info"):
            _trim_metadata(top)
        elif top.is_dir() and not _imports_its_tests(top):
            for tests in [path for path in top.rglob("tests") if (path / "__init__.py").is_file()]:
                shutil.rmtree(tests, ignore_errors=True)
    for path in list(folder.rglob("*")):
        if path.name == "__pycache__":
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix in (".pyi", ".pyc", ".a") or path.name == ".lock":
            path.unlink(missing_ok=True)
        elif path.is_file():
            strip(path)


def _trim_metadata(folder: Path) -> None:
    for path in list(folder.iterdir()):
        is_licence = path.name.lower().startswith(("licen", "copying", "notice", "authors"))
        if not is_licence and path.name not in _METADATA:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _imports_its_tests(package: Path) -> bool:
    sources = (path for path in package.rglob("*.py") if "tests" not in path.parts)
    return any(b"tests" in (text := path.read_bytes()) and _TESTS_USED.search(text) for path in sources)
