"""What the tests of the executor share."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

from lithops_magic.config import Settings
from lithops_magic.executor import LambdaExecutor

SETTINGS = Settings(local=True, memory=256, timeout=20)


def executor(max_workers: int | None = None, **given: Any) -> LambdaExecutor:
    return LambdaExecutor(max_workers, **{"settings": SETTINGS, "packages": "none", **given})


def notebook(source: str) -> dict[str, Any]:
    """Return a notebook's names after a cell with this source; its functions are pickled by value."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(textwrap.dedent(source), "<cell>", "exec", dont_inherit=True), names)
    return names


SCRIPT = """
from lithops_magic.config import Settings
from lithops_magic.executor import LambdaExecutor
executor = LambdaExecutor(settings=Settings(local=True, memory=256, timeout=20), packages="none")
"""


def run_script(source: str, *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a program that can use `executor`; it must exit on its own."""
    command = [sys.executable, "-c", SCRIPT + textwrap.dedent(source)]
    return subprocess.run(command, env=os.environ.copy(), capture_output=True, text=True, timeout=timeout, check=False)
