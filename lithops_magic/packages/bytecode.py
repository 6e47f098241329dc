"""Gives packages the bytecode that a cold start loads: a sandbox cannot write its own, and would compile each time.

It names the hash of its source, so that it never counts for another one: of the same name in another layer, say.
It has no columns, a fifth of its size, of which tracebacks make what they underline, unless a package is shipped that
finds out by them how it was called.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lithops_magic.packages import compiler
from lithops_magic.packages.platform import Target

_OPTIONS = ("-S", "-s", "-P", "-B", "-W", "ignore", "--check-hash-based-pycs", "always")
_WITHOUT_COLUMNS = ("-X", "no_debug_ranges")

READS_COLUMNS = "executing"
"""The distribution by which others, such as varname, read columns."""


def kind(target: Target) -> str:
    """Return what tells one Python's bytecode from another's; empty where the target's cannot be made here."""
    same = target.minor == sys.version_info.minor and sys.version_info.releaselevel == "final"
    return importlib.util.MAGIC_NUMBER.hex() if same and sys.implementation.name == "cpython" else ""


def compiled(files: Mapping[str, Path], folder: str, installed: str, *, columns: bool) -> dict[str, bytes]:
    """Return the bytecode of those of `files` that importing loads, by its name beside them.

    Parameters
    ----------
    folder
        Where the files will lie.
    installed
        Where this machine's Python may have the same ones, and their bytecode; empty: where they are.
    columns
        Whether somebody reads them.
    """
    options = (*_OPTIONS, *(() if columns else _WITHOUT_COLUMNS))
    sources = {name: str(path.absolute()) for name, path in files.items() if name.endswith(".py")}
    if not sources:
        return {}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, *options, compiler.__file__],
        input=marshal.dumps((sources, folder, installed)),
        env={**environment, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    # What is compiled without is compiled by the sandbox: nothing to fail for.
    made: dict[str, bytes] = marshal.loads(done.stdout) if done.returncode == 0 else {}
    return made
