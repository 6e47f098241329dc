"""The deployment package: small, reproducible, complete."""

from __future__ import annotations

import ast
import io
import marshal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import CodeType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

import lithops_magic.worker
from lithops_magic.engine.backend.deployment_package import worker_package
from lithops_magic.engine.backend.stripping import TYPES, stripped, without_lines


def test_it_is_small_and_reproducible() -> None:
    package = worker_package()
    assert package == worker_package()
    assert len(package) < 50_000


def test_without_docstrings_and_comments_the_code_is_the_same_line_for_line() -> None:
    for source in Path(lithops_magic.worker.__file__).parent.glob("*.py"):
        left = stripped(source.read_bytes())
        assert b"#" not in left
        assert outline(left) == outline(source.read_bytes()), source


def test_compiled_code_keeps_the_first_line_of_each_function() -> None:
    source = Path(cloudpickle.cloudpickle.__file__).read_bytes()
    code = compile(source, "file", "exec")
    less = without_lines(code)
    assert lines(less) == firsts(code)
    assert len(marshal.dumps(less)) < len(marshal.dumps(code))


def firsts(code: CodeType) -> list[Any]:
    """The first line of each function, for each of its instructions."""
    here = [code.co_firstlineno] * (len(code.co_code) // 2)
    return [here, *(firsts(part) for part in code.co_consts if isinstance(part, CodeType))]


def lines(code: CodeType) -> list[Any]:
    """The line of each instruction."""
    here = [line for start, end, line in code.co_lines() for _ in range(start, end, 2)]
    return [here, *(lines(part) for part in code.co_consts if isinstance(part, CodeType))]


def outline(source: bytes) -> list[str]:
    """Every statement with its line, but docstrings and what annotations need."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    nodes = [node for node in nodes if not (isinstance(node, ast.ImportFrom) and node.module in TYPES)]
    text = [node for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    kinds = {ast.AnnAssign: ast.Assign}
    return [f"{node.lineno}:{kinds.get(type(node), type(node)).__name__}" for node in nodes if node not in text]


def test_it_imports_without_anything_else(tmp_path: Path) -> None:
    zipfile.ZipFile(io.BytesIO(worker_package())).extractall(tmp_path)
    code = "import sys; sys.path.insert(0, sys.argv[1]); from lithops_magic_worker.handler import handle; print(handle)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


TRICKY = r'''
from __future__ import annotations
from typing import Any, cast
from types import TracebackType
NAME: str = "#no"  # yes
LONG: dict[str,
           int] = {}
class Thing:
    """Doc # of it."""
    count: int = 0  # ä
    def run(self, ä: Any, *rest: int, key: "str" = "x # y") -> Any | None:  # why
        "Doc."
        text = f"{key!r:#>4} # {rest}"  # f"
        more = ("a # b"  """c
    # d"""
                'e')
        return cast(str, text + more + """
    # kept
        as it is""" + "one\
    two # three")
    def doc(self) -> None:
        """Nothing else."""
'''


def test_what_looks_like_a_comment_in_a_string_stays() -> None:
    left = stripped(TRICKY.encode()).decode()
    there: dict[str, Any] = {}
    here: dict[str, Any] = {}
    exec(TRICKY, here)
    exec(left, there)
    assert "yes" not in left
    assert "why" not in left
    assert "TracebackType" not in left
    assert "ä: Any" not in left
    assert there["Thing"]().run(1, 2) == here["Thing"]().run(1, 2)
    assert there["NAME"] == "#no"
    assert there["Thing"].__doc__ is None
    assert there["Thing"]().doc() is None
