"""LITHOPS.md: it names every public call of Lithops' own, and the tests that it names exist."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

TABLE = (Path(__file__).parents[2] / "LITHOPS.md").read_text()
LITHOPS = Path(str(importlib.util.find_spec("lithops").origin)).parent  # type: ignore[union-attr]
NAMED = {word for code in re.findall(r"`([^`]+)`", TABLE) for word in re.findall(r"\w+", code)}
CLASSES = [
    ("executors.py", "FunctionExecutor"),
    ("future.py", "ResponseFuture"),
    ("utils.py", "FuturesList"),
    ("retries.py", "RetryingFunctionExecutor"),
    ("retries.py", "RetryingFuture"),
    ("storage/storage.py", "Storage"),
    ("storage/cloud_proxy.py", "CloudFileProxy"),
    ("multiprocessing/pool.py", "Pool"),
    ("multiprocessing/process.py", "CloudProcess"),
]


def methods(file: str, name: str) -> list[ast.FunctionDef]:
    # Read, not imported: Lithops changes how every exception of the process is pickled.
    tree = ast.parse((LITHOPS / file).read_text())
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return [each for each in found.body if isinstance(each, ast.FunctionDef)]


@pytest.mark.parametrize(("file", "name"), CLASSES)
def test_every_method_of_lithops_is_in_the_table(file: str, name: str) -> None:
    public = {each.name for each in methods(file, name) if not each.name.startswith("_")}
    assert public
    assert public - NAMED == set()


def test_every_argument_of_an_executor_is_in_the_table() -> None:
    wanted = [each for each in methods(*CLASSES[0]) if not each.name.startswith("_") or each.name == "__init__"]
    names = {arg.arg for each in wanted for arg in (*each.args.args, *each.args.kwonlyargs)} - {"self"}
    assert len(names) > 30
    assert names - NAMED == set()


def test_the_tests_that_the_table_names_exist() -> None:
    folders = [Path(__file__).parent, Path(__file__).parents[1] / "notebook"]
    sources = "".join(path.read_text() for folder in folders for path in folder.glob("test_lithops*.py"))
    wanted = {name for name in NAMED if name.startswith("test_")}
    assert len(wanted) > 40
    assert {name for name in wanted if f"def {name}(" not in sources} == set()


def test_every_row_of_the_table_names_a_test() -> None:
    rows = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith(("| call", "| ---"))]
    kinds = {row.split(" | ")[1].strip() for row in rows}
    assert kinds == {"same", "better", "not applicable", "refused"}
    assert [row for row in rows if "`test_" not in row.split(" | ")[-1]] == []
