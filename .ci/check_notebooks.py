"""Check that the stored notebooks are executed, fail only where they mean to, and tell nothing of their machine."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
WITH_PICTURE = {"01_quickstart"}
MACHINE = re.compile(r"/(?:root|home|work|tmp|Users)/")


def failed(cell: dict[str, Any]) -> bool:
    """Whether the cell has an error, or the one line on stderr that IPython prints for wrong usage."""
    return any(
        output["output_type"] == "error" or (output.get("name") == "stderr" and "UsageError" in "".join(output["text"]))
        for output in cell["outputs"]
    )


def problems(name: str, notebook: dict[str, Any]) -> list[str]:
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    found = [f"cell {c['id']} is not executed in order" for n, c in enumerate(cells, 1) if c["execution_count"] != n]
    for cell in cells:
        if failed(cell) != ("raises-exception" in cell["metadata"].get("tags", [])):
            found.append(f"cell {cell['id']} {'failed' if failed(cell) else 'should have failed'}")
        if MACHINE.search(json.dumps(cell["outputs"])):
            found.append(f"cell {cell['id']} shows a path of the machine it ran on")
    pictures = ["image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"]]
    return found if any(pictures) or name not in WITH_PICTURE else [*found, "there is no picture"]


if __name__ == "__main__":
    for path in NOTEBOOKS:
        if found := problems(path.stem, json.loads(path.read_text())):
            raise SystemExit(f"{path.name}: {'; '.join(found)}\nRun `lithops-magic demo {path.stem} --save`.")
        sys.stdout.write(f"{path.name} is executed and fails only where it means to\n")
