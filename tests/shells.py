"""A fresh IPython in this process, of which nothing is left at its end."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from traitlets.config import Config

if TYPE_CHECKING:
    from IPython.terminal.interactiveshell import TerminalInteractiveShell


@contextmanager
def terminal(folder: Path) -> Iterator[TerminalInteractiveShell]:
    """A terminal IPython without a prompt, history, colors or the user's profile; its files are in `folder`."""
    from IPython.terminal.interactiveshell import TerminalInteractiveShell

    config = Config()
    config.TerminalInteractiveShell.simple_prompt = True
    config.TerminalInteractiveShell.colors = "nocolor"
    config.HistoryManager.enabled = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder))
        shell = TerminalInteractiveShell.instance(config=config)
        try:
            with shell.builtin_trap:
                yield shell
        finally:
            _forget(shell)


def _forget(shell: TerminalInteractiveShell) -> None:
    # Each shell would wait for the end of the process, and then look through all of its memory for garbage.
    atexit.unregister(shell.atexit_operations)
    with mock.patch("gc.collect"):
        shell.atexit_operations()
    shell.magics_manager.registry.clear()
    type(shell).clear_instance()
