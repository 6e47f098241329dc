from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shells import terminal

if TYPE_CHECKING:
    from IPython.terminal.interactiveshell import TerminalInteractiveShell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[TerminalInteractiveShell]:
    """A fresh terminal IPython without a prompt, history, colors or the user's profile."""
    with terminal(tmp_path) as shell:
        yield shell


@pytest.fixture
def loaded(shell: TerminalInteractiveShell) -> TerminalInteractiveShell:
    shell.run_line_magic("load_ext", "lithops_magic")
    return shell


@pytest.fixture
def run(loaded: TerminalInteractiveShell, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Run a cell; return what it displayed and its error output."""

    def run(cell: str, *, ok: bool = True) -> tuple[str, str]:
        done = loaded.run_cell(cell, store_history=True)
        shown = capsys.readouterr()
        assert done.success is ok, shown
        return shown.out, shown.err

    return run
