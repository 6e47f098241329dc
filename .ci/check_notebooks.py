"""Run the demo notebooks and check that the stored ones show the same in kind, and tell nothing of their machine."""

from __future__ import annotations

import copy
import io
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat

from lithops_magic.cli.play import play

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
WITHOUT_PICTURE = {"02_configure"}
MACHINE = re.compile(r"/(?:root|home|work|tmp|Users)/")
MINUTE = 60


def failed(cell: dict[str, Any]) -> bool:
    """Whether the cell has an error, or the one line on stderr that IPython prints for wrong usage."""
    return any(
        output["output_type"] == "error" or (output.get("name") == "stderr" and "UsageError" in "".join(output["text"]))
        for output in cell["outputs"]
    )


def problems(name: str, notebook: dict[str, Any]) -> list[str]:
    """What is wrong with a stored notebook as it is."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    found = [f"cell {c['id']} is not executed in order" for n, c in enumerate(cells, 1) if c["execution_count"] != n]
    for cell in cells:
        if failed(cell) != ("raises-exception" in cell["metadata"].get("tags", [])):
            found.append(f"cell {cell['id']} {'failed' if failed(cell) else 'should have failed'}")
        if MACHINE.search(json.dumps(cell["outputs"])):
            found.append(f"cell {cell['id']} shows a path of the machine it ran on")
    pictures = ["image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"]]
    return found if any(pictures) or name in WITHOUT_PICTURE else [*found, "there is no picture"]


def kinds(notebook: dict[str, Any]) -> dict[str, list[str]]:
    """What each cell shows, in kind: streams, errors by their class, displays by their media types."""
    return {
        cell["id"]: [_kind(output) for output in cell["outputs"]]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    }


def _kind(output: dict[str, Any]) -> str:
    kind: str = output["output_type"]
    detail = output.get("name") or output.get("ename") or " and ".join(sorted(output.get("data", ())))
    return f"{kind} of {detail}"


def differences(stored: dict[str, Any], fresh: dict[str, Any]) -> list[str]:
    """Where a fresh run shows something of another kind."""
    then, now = kinds(stored), kinds(fresh)
    return [
        f"cell {cell}: stored {then.get(cell, 'nowhere')}, a fresh run {now.get(cell, 'nowhere')}"
        for cell in {**then, **now}
        if then.get(cell) != now.get(cell)
    ]


def run(stored: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Execute a copy; what went wrong is told with all that was shown until then."""
    fresh, told = copy.deepcopy(stored), io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        try:
            play(fresh, told, Path(folder))
        except BaseException:
            sys.stdout.write(told.getvalue())
            raise
    return fresh


def main() -> None:
    for path in NOTEBOOKS:
        stored = nbformat.read(path, as_version=4)
        started = time.monotonic()
        found = problems(path.stem, stored) or differences(stored, run(stored))
        if found:
            raise SystemExit(f"{path.name}: {'; '.join(found)}\nRun `lithops-magic demo {path.stem} --save`.")
        took = time.monotonic() - started
        late = " (more than the minute that it promises)" if took > MINUTE else ""
        sys.stdout.write(f"{path.name} shows what a fresh run shows, after {took:.0f} s{late}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
