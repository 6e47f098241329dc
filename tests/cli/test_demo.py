"""Playing notebooks in the terminal, each in a real kernel."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lithops_magic.cli import demo, main
from lithops_magic.cli.play import Screen, play
from localaws import FOREIGN
from waiting import eventually, has_ended

PROGRESS = """
from IPython.display import display
handle = display({"text/plain": "0 of 3"}, raw=True, display_id=True)
for done in range(1, 4):
    handle.update({"text/plain": f"{done} of 3"}, raw=True)
"""

RAISES = {"tags": ["raises-exception"]}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def notebook(*sources: str, **metadata: Any) -> nbformat.NotebookNode:
    return new_notebook(cells=[new_code_cell(source, metadata=metadata) for source in sources])


@dataclass(frozen=True)
class Played:
    """A notebook that was played once for several tests, and what the pipe got."""

    folder: Path
    book: nbformat.NotebookNode
    told: str


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("played")
    foreign = folder / "kernels" / "python3"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text(json.dumps({"argv": ["/nowhere/python"], "display_name": "Another"}))
    book = notebook(PROGRESS, "6 * 7", "import sys, os", "print(sys.executable, os.getcwd())")
    book.cells.insert(0, new_markdown_cell("# A title\n\nSome prose"))
    book.cells += [new_code_cell("1 / 0", metadata=RAISES), new_code_cell("print('went on')")]
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(FOREIGN):
                patch.delenv(name)
        patch.setenv("HOME", str(folder))
        patch.setenv("JUPYTER_PATH", str(folder))
        play(book, told, folder)
    return Played(folder, book, told.getvalue())


def test_the_kernel_is_this_interpreter_whatever_is_installed_for_the_user(played: Played) -> None:
    assert f"{sys.executable} {played.folder}" in played.told


def test_a_pipe_gets_results_headings_and_the_last_state_of_progress(played: Played) -> None:
    lines = played.told.splitlines()
    assert "A title" in lines
    assert "Some prose" not in lines
    assert "3 of 3" in lines
    assert "42" in lines
    assert "\x1b" not in played.told
    assert "\r" not in played.told


def test_a_terminal_gets_every_state_on_one_line(tmp_path: Path) -> None:
    told = Terminal()
    play(notebook(PROGRESS), told, tmp_path)
    assert told.getvalue().index("\r\x1b[K1 of 3") < told.getvalue().index("\r\x1b[K2 of 3")
    assert told.getvalue().endswith("\r\x1b[K3 of 3\n")


def test_a_live_line_is_cut_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    told = Terminal()
    Screen(told).live("x" * 100)
    assert told.getvalue() == "\r\x1b[K" + "x" * 19


def test_an_expected_error_is_shown_and_does_not_stop(played: Played) -> None:
    assert "ZeroDivisionError: division by zero" in played.told
    assert "went on" in played.told
    assert [cell.outputs[0].output_type for cell in played.book.cells[-2:]] == ["error", "stream"]


def test_an_unexpected_error_stops(tmp_path: Path) -> None:
    told = io.StringIO()
    with pytest.raises(CellExecutionError):
        play(notebook("1 / 0", "print('went on')"), told, tmp_path)
    assert "ZeroDivisionError" in told.getvalue()
    assert "went on" not in told.getvalue()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_the_kernel_and_says_so_in_one_line(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from nbformat.v4 import new_code_cell, new_notebook\n"
        "from lithops_magic.cli import demo, main, play\n"
        "sleep = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'\n"
        "book = new_notebook(cells=[new_code_cell(sleep)])\n"
        "demo._demo = lambda options: play.play(book, sys.stdout, Path.cwd())\n"
        "sys.exit(main.main(['demo']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(program)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    kernel = next(int(line) for line in process.stdout if line.strip().isdigit())
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 130
    assert complaint == "lithops-magic: interrupted\n"
    assert eventually(lambda: has_ended(kernel))


def test_the_notebooks_that_are_asked_for_are_played_saved_and_written_as_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "NOTEBOOKS", tmp_path)
    for name, source in (("a", "1 / 0"), ("b", "6 * 7"), ("c", "print('seen')")):
        nbformat.write(notebook(source), tmp_path / f"{name}.ipynb")
    assert main.main(["demo", "b", "c.ipynb", "--save", "--html", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("As a page:") == 2
    assert nbformat.read(tmp_path / "b.ipynb", as_version=4).cells[0].outputs[0].data == {"text/plain": "42"}
    assert "seen" in (tmp_path / "c.html").read_text()
    assert main.main(["demo", "--all"]) == 1
    assert capsys.readouterr().err == "lithops-magic: a failed: ZeroDivisionError: division by zero\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["99_nothing"], "no demo 99_nothing: there are 01_quickstart, 02_configure, 03_monte_carlo"),
        (["--html", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_played_is_one_line(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["demo", *arguments]) == 1
    assert capsys.readouterr().err.startswith(f"lithops-magic: {problem}")


def test_a_missing_repository_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "NOTEBOOKS", tmp_path / "absent")
    assert main.main(["demo"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_extra_is_one_line_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nbformat", None)
    assert main.main(["demo"]) == 1
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert 'pip install "lithops-magic[local]"' in complaint
