"""The deployment package: small, reproducible, complete."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import lithops_magic.worker
from lithops_magic.engine.backend.deployment_package import worker_package
from lithops_magic.engine.backend.stripping import stripped


def test_it_is_small_and_reproducible() -> None:
    package = worker_package()
    assert package == worker_package()
    assert len(package) < 50_000


def test_without_docstrings_and_comments_the_code_is_the_same_line_for_line() -> None:
    for source in Path(lithops_magic.worker.__file__).parent.glob("*.py"):
        left = stripped(source.read_bytes())
        assert b"#" not in left
        assert outline(left) == outline(source.read_bytes()), source


def outline(source: bytes) -> list[str]:
    """Every statement but docstrings, with its line."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    text = [node for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    return [f"{node.lineno}:{type(node).__name__}" for node in nodes if node not in text]


def test_it_imports_without_anything_else(tmp_path: Path) -> None:
    zipfile.ZipFile(io.BytesIO(worker_package())).extractall(tmp_path)
    code = "import sys; sys.path.insert(0, sys.argv[1]); from lithops_magic_worker.handler import handle; print(handle)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
