"""`lithops-magic packages FILE.ipynb` and `%lambda_clean`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

import lithops_magic
from lithops_magic.cli import main
from localaws import LocalAws


def notebook(folder: Path, *cells: str) -> Path:
    path = folder / "work.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": [cell]} for cell in cells]}))
    return path


def test_it_says_what_each_mapped_cell_gets_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own_rules.py").write_text("import markupsafe\n")
    path = notebook(
        tmp_path,
        "import matplotlib\nimport yaml as Y\nimport own_rules\n%load_ext lithops_magic\n",
        "def parse(text):\n    return Y.safe_load(text)\n",
        "%%lambda_map text in texts\nparse(text)\n",
        "%lambda_map own_rules.check texts --packages tabulate",
        "x = Y.safe_load('1')\nfor part in range(2):\n    r = %lambda_map parse [t for t in texts] --packages none\n",
        "%%lambda_map x in range(3)\nx ** 2\n",
        "%%time\n%%lambda_call -o answer\nimport markupsafe\n",
        "%%writefile other.py\n%lambda_map nothing here\n",
    )
    assert main.main(["packages", str(path)]) == 0
    first, second, none, third, call = capsys.readouterr().out.split("cell ")[1:]
    assert f"PyYAML {yaml.__version__}" in first
    assert "yaml is used as Y" in first
    assert "matplotlib" not in first + second
    assert "MB zipped" in first
    assert "MarkupSafe" in second
    assert "markupsafe is imported by own_rules.py" in second
    assert "tabulate" in second
    assert "own_rules.py  your own" in second
    assert none == "5: %lambda_map parse [t for t in texts] --packages none\n  nothing\n"
    assert third == "6: %%lambda_map x in range(3)\n  nothing\n"
    assert call.startswith("7: %%lambda_call -o answer\n  MarkupSafe")


def test_what_is_no_notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "work.ipynb"
    assert main.main(["packages", str(path)]) == 1
    path.write_text("print(1)")
    assert main.main(["packages", str(path)]) == 1
    assert main.main(["packages", str(notebook(tmp_path, "%%lambda_map x in y --memroy 5\nx"))]) == 1
    told = capsys.readouterr().err.splitlines()
    assert "Cell 1, `%%lambda_map x in y --memroy 5`: " in told[2]
    assert "--memory" in told[2]
    assert "cannot be read: No such file" in told[0]
    assert "is not a notebook" in told[1]


def test_cleaning_removes_the_layers_as_well(local_aws: LocalAws, capsys: pytest.CaptureFixture[str]) -> None:
    def load(text: str) -> object:
        return yaml.safe_load(text)

    assert lithops_magic.map(load, ["[1]"]).values() == [[1]]
    names = local_aws.layers()
    ours = {name for name in names if re.fullmatch("lithops-magic-[0-9a-f]{16}", name)}
    assert ours
    assert main.main(["clean", "--yes"]) == 0
    assert re.search(r"\d layers? \(lithops-magic-", capsys.readouterr().out)
    assert local_aws.layers() == names - ours, "other namespaces' layers are not ours to delete"
    assert lithops_magic.map(load, ["[2]"]).values() == [[2]]
