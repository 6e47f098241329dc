"""The house: one home for each name, each variable of the environment on one page."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = ROOT / "lithops_magic"
SHIPPED = (OURS / "worker", OURS / "data" / "inside")


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


def test_imports_are_absolute_but_in_what_is_shipped_under_another_name() -> None:
    for path in OURS.rglob("*.py"):
        text = path.read_text()
        # Most have none that looks like it, and need not be parsed.
        nodes = ast.walk(ast.parse(text)) if path.parent not in SHIPPED and re.search(r"from\s+\.", text) else ()
        assert not [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level], path
