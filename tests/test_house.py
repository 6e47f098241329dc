"""The house: one home for each name, each variable of the environment on one page."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = ROOT / "lithops_magic"
SHIPPED = (OURS / "worker", OURS / "data" / "inside")
RENAMED = (*SHIPPED, OURS / "local" / "inside")


def test_every_environment_variable_is_on_one_page_and_no_other() -> None:
    named = {
        name
        for path in OURS.rglob("*.py")
        for name in re.findall(r"\bLITHOPS_(?:MAGIC|CONFIG)[A-Z_]*\b", path.read_text())
    }
    page = (ROOT / "ARCHITECTURE.md").read_text().partition("## Environment variables")[2]
    assert set(re.findall(r"`(LITHOPS_[A-Z_]+)`", page)) == named


def test_every_module_is_in_a_layer() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layered = [each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers"]
    # lint-imports itself refuses a module that an exhaustive contract does not name.
    assert all(contract["exhaustive"] for contract in layered)
    assert {"lithops_magic", *(f"lithops_magic.{room}" for room in ("aws", "engine", "local", "notebook"))} <= {
        container for contract in layered for container in contract["containers"]
    }


def test_imports_are_absolute_but_in_what_runs_under_another_name() -> None:
    for path in OURS.rglob("*.py"):
        text = path.read_text()
        # Most have none that looks like it, and need not be parsed.
        nodes = ast.walk(ast.parse(text)) if path.parent not in RENAMED and re.search(r"from\s+\.", text) else ()
        assert not [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level], path


ON_TWO_PATHS = {
    "Place": "a job's place in S3 (engine/wire); where a program's storage is (lithops/storage), which knows no job",
}
"""Names of two classes that no module knows both."""


def test_a_class_name_means_one_thing_in_each_process() -> None:
    for process in ("worker", "local", "client"):
        homes: dict[str, list[str]] = {}
        for path in OURS.rglob("*.py"):
            if _process_of(path) == process:
                for name in re.findall(r"^class ([A-Za-z]\w*)", path.read_text(), re.MULTILINE):
                    homes.setdefault(name, []).append(str(path.relative_to(OURS)))
        assert {name: found for name, found in homes.items() if len(found) > 1 and name not in ON_TWO_PATHS} == {}


def _process_of(path: Path) -> str:
    if any(path.is_relative_to(folder) for folder in SHIPPED):
        return "worker"
    return "local" if path.is_relative_to(OURS / "local") else "client"
