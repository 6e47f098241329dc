from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from traitlets.config import Config

if TYPE_CHECKING:
    from IPython.terminal.interactiveshell import TerminalInteractiveShell


@pytest.fixture
def shell(tmp_path, monkeypatch) -> Iterator[TerminalInteractiveShell]:
    """A fresh terminal IPython without a prompt, history, colors or the user's profile."""
    from IPython.terminal.interactiveshell import TerminalInteractiveShell

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    config = Config()
    config.TerminalInteractiveShell.simple_prompt = True
    config.TerminalInteractiveShell.colors = "nocolor"
    config.HistoryManager.enabled = False
    shell = TerminalInteractiveShell.instance(config=config)
    with shell.builtin_trap:
        yield shell
    # It would also collect garbage, which takes longer than most tests.
    with mock.patch("gc.collect"):
        shell.reset(new_session=False)
    shell.magics_manager.registry.clear()
    TerminalInteractiveShell.clear_instance()


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
