"""`lithops-magic run`: notebooks as jobs, each in a real kernel."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from lithops_magic.cli.main import main

PROGRAM = [sys.executable, "-c", "import sys; from lithops_magic.cli.main import main; sys.exit(main(sys.argv[1:]))"]


def write(path: Path, *sources: str, declared: str | None = "n = 5\nword = 'a'") -> Path:
    cells = [new_code_cell(source) for source in sources]
    if declared is not None:
        cells.insert(0, new_code_cell(declared, metadata={"tags": ["parameters"]}))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def outputs(path: Path) -> list[str]:
    """What the last cell printed, and the text of its values."""
    cell = nbformat.read(path, as_version=4).cells[-1]
    return [output.get("text") or output["data"]["text/plain"] for output in cell.outputs]


def test_maps_of_a_notebook_run_on_lambda(local_aws: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(
        tmp_path / "job.ipynb",
        "%load_ext lithops_magic",
        "%%lambda_map x in range(n) -o squares\nx ** 2",
        "print(squares.values(), word)",
    )
    assert main(["run", str(source), "-p", "n=3", "-p", "word=it's"]) == 0
    copy = tmp_path / "job.executed.ipynb"
    assert outputs(copy) == ["[0, 1, 4] it's\n"]
    shown = capsys.readouterr().out
    assert "3 tasks · " in shown
    assert "[0, 1, 4] it's" in shown
    assert f"Executed copy: {copy}" in shown
    assert nbformat.read(source, as_version=4).cells[-1].outputs == [], "the notebook itself stays as it is"
    # What papermill made of a notebook it makes again.
    assert main(["run", str(copy), "-p", "n=2", "-o", str(tmp_path / "again.ipynb")]) == 0
    again = nbformat.read(tmp_path / "again.ipynb", as_version=4)
    assert [cell.source for cell in again.cells if "injected-parameters" in cell.metadata.get("tags", [])] == ["n = 2"]
    assert outputs(tmp_path / "again.ipynb") == ["[0, 1] a\n"]


VALUES = {"n": 7, "word": "x y", "part": 2.5, "none": None, "some": [1, 2], "quote": "'"}


def printed(path: Path) -> str:
    """What the cells of a notebook print, run here instead of in a kernel."""
    names: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()) as out:
        for cell in nbformat.read(path, as_version=4).cells:
            exec(cell.source, names)
    return out.getvalue()


@pytest.mark.parametrize("declared", ["\n".join(f"{name} = 5" for name in VALUES), None])
def test_parameters_are_set_where_papermill_sets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: str | None
) -> None:
    values: dict[str, Any] = VALUES
    source = write(tmp_path / "a.ipynb", f"print([{', '.join(values)}])", declared=declared)
    papermill.execute_notebook(source, tmp_path / "b.ipynb", values, prepare_only=True, kernel_name="python3")
    monkeypatch.setattr("lithops_magic.cli.play.play", lambda *_: None)
    given = [text for name, value in values.items() for text in ("-p", f"{name}={value}")]
    assert main(["run", str(source), *given]) == 0
    assert printed(tmp_path / "a.executed.ipynb") == printed(tmp_path / "b.ipynb") == f"{[*values.values()]}\n"


def test_a_cell_that_fails_is_named_and_the_copy_has_its_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "a.ipynb", "print('before')", "1 / 0", "print('after')")
    assert main(["run", str(source), "-o", str(tmp_path / "done.ipynb")]) == 1
    shown = capsys.readouterr()
    assert shown.err == "lithops-magic: a.ipynb failed in cell 3: ZeroDivisionError: division by zero\n"
    cells = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells
    assert cells[1].outputs[0].text == "before\n"
    assert cells[2].outputs[0].ename == "ZeroDivisionError"
    assert cells[3].outputs == []


def test_a_kernel_that_dies_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "a.ipynb", "import os", "os._exit(3)")
    assert main(["run", str(source)]) == 1
    assert "the kernel of a.ipynb died" in capsys.readouterr().err
    assert (tmp_path / "a.executed.ipynb").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_keeps_what_was_done(tmp_path: Path, number: signal.Signals) -> None:
    source = write(tmp_path / "a.ipynb", "print('ready')", "import time\ntime.sleep(600)")
    with subprocess.Popen(
        [*PROGRAM, "run", str(source)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("In [3]"):
                process.send_signal(number)
                break
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors == "lithops-magic: interrupted\n"
    assert nbformat.read(tmp_path / "a.executed.ipynb", as_version=4).cells[1].outputs[0].text == "ready\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "m=1"], "-p m: the notebook's parameters cell does not set m; there are n, word."),
        (["-p", "wird=1"], "did you mean word?"),
        (["-p", "n"], "-p n: write NAME=VALUE with the name of a variable."),
        (["-p", "class=1"], "-p class=1: write NAME=VALUE"),
        (["-o", "no/such/folder.ipynb"], "there is no such folder"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "a.ipynb", "open('ran', 'w')")
    assert main(["run", str(source), *arguments]) == 1
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ipynb"]


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"cells": 3, "nbformat": 4}', "no json", "\0"])
def test_what_is_no_notebook_is_refused(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.ipynb"
    if content is not None:
        path.write_text(content)
    assert main(["run", str(path)]) == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "cannot be read" in shown if content is None else "is not a notebook" in shown
