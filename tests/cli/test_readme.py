"""Every example of the README and the guide, run as printed: in order, in a real kernel, against the local AWS."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from localaws import LocalAws

ROOT = Path(__file__).parents[2]


def examples(name: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("name", "least"), [("README.md", 9), ("GUIDE.md", 1)])
def test_examples_run_as_printed(name: str, least: int, local_aws: LocalAws, tmp_path: Path) -> None:
    cells = examples(name)
    assert len(cells) >= least
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=170, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in notebook.cells:
        text = "".join(str(output.get("text", "")) for output in cell.outputs)
        assert "UsageError" not in text, cell.source
    if name == "README.md":
        values = [output.data["text/plain"] for cell in notebook.cells for output in cell.outputs if "data" in output]
        assert any("ZeroDivisionError" in value and "dividing by 0" in value for value in values)
        assert "[3, 3, 5]" in values[-1] or any("3, 3, 5" in value for value in values)


def test_links_of_the_papers_lead_somewhere() -> None:
    for paper in ROOT.glob("*.md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", paper.read_text()):
            assert (ROOT / target).exists(), f"{paper.name}: {target}"
