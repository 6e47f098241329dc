"""The check of the stored notebooks sees what it is there to see."""

from __future__ import annotations

import copy
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

CHECK = runpy.run_path(str(Path(__file__).parents[2] / ".ci" / "check_notebooks.py"))
PICTURE = new_output("display_data", data={"image/png": "aGk=", "text/plain": "<Figure>"})
ERROR = new_output("error", ename="ValueError", evalue="", traceback=[])


def book() -> Any:
    cells = [
        new_code_cell("draw()", id="draw", execution_count=1, outputs=[PICTURE]),
        new_code_cell("fail()", id="fail", execution_count=2, outputs=[ERROR], metadata={"tags": ["raises-exception"]}),
    ]
    return copy.deepcopy(new_notebook(cells=cells))


def test_a_good_notebook_passes() -> None:
    assert CHECK["problems"]("any", book()) == []
    assert CHECK["differences"](book(), book()) == []


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda cells: cells[0].update(execution_count=7), "cell draw is not executed in order"),
        (lambda cells: cells[0].outputs.append(ERROR), "cell draw failed"),
        (lambda cells: cells[1].update(outputs=[]), "cell fail should have failed"),
        (lambda cells: cells[0].outputs[0].data.update({"text/plain": "/home/ada/x"}), "shows a path of the machine"),
        (lambda cells: cells[0].update(outputs=[]), "there is no picture"),
    ],
)
def test_a_stored_notebook_that_is_not_as_it_should_be(spoil: Callable[[Any], None], problem: str) -> None:
    spoiled = book()
    spoil(spoiled.cells)
    assert any(problem in found for found in CHECK["problems"]("any", spoiled))


@pytest.mark.parametrize(
    "change",
    [
        lambda cells: cells[0].outputs[0].data.update({"text/html": ""}),
        lambda cells: cells[0].outputs.append(new_output("stream", text="more")),
        lambda cells: cells[1].outputs[0].update(ename="KeyError"),
        lambda cells: cells[1].update(outputs=[]),
        lambda cells: cells.append(new_code_cell("new()", id="new")),
        lambda cells: cells.pop(),
    ],
)
def test_a_fresh_run_that_shows_something_else(change: Callable[[Any], None]) -> None:
    fresh = book()
    change(fresh.cells)
    (found,) = CHECK["differences"](book(), fresh)
    assert found.startswith("cell ")
