"""A job's description in lists: the notebook that started it, and how its code begins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def notebook_files(shell: InteractiveShell) -> list[Path]:
    """Return where the notebook is according to the server that shows it; not checked."""
    # Set by VS Code and by Jupyter Server; elsewhere, a kernel does not know its notebook.
    told = (shell.user_ns.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME"))
    return [Path(name) for name in told if isinstance(name, str) and name.endswith(".ipynb")]


def notebook_name(shell: InteractiveShell) -> str:
    """Return the name of the notebook file; empty if unknown."""
    return next((file.name for file in notebook_files(shell)), "")


def about(shell: InteractiveShell, code: str) -> str:
    """Return both parts, such as `analysis.ipynb: fit(x)`."""
    lines = (line.strip() for line in code.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return ": ".join(part for part in (notebook_name(shell), first) if part)
