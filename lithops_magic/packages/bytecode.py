"""Adds the bytecode that a cold start loads: a sandbox cannot write its own, and would compile every time.

Bytecode is bound to the hash of its source, so it never applies to another file, such as one of the same name in
another layer. Column positions, a fifth of its size, are left out (tracebacks use them to underline code), unless a
shipped package uses them to find out how it was called.
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
"""The distribution that others, such as varname, use to read columns."""


def kind(target: Target) -> str:
    """Return what distinguishes one Python's bytecode from another's; empty if the target's cannot be produced here."""
    same = target.minor == sys.version_info.minor and sys.version_info.releaselevel == "final"
    return importlib.util.MAGIC_NUMBER.hex() if same and sys.implementation.name == "cpython" else ""


def compiled(files: Mapping[str, Path], folder: str, installed: str, *, columns: bool) -> dict[str, bytes]:
    """Return the bytecode of those `files` that imports load, by the name of the bytecode file.

    Parameters
    ----------
    folder
        Where the files will be.
    installed
        Where this machine's Python may have the same files and their bytecode; empty: in the files' own folders.
    columns
        Whether to include columns.
    """
    options = (*_OPTIONS, *(() if columns else _WITHOUT_COLUMNS))
    sources = {name: str(path.absolute()) for name, path in files.items() if name.endswith(".py")}
    if not sources:
        return {}
    # PYTHONOPTIMIZE and the like would change what is compiled, and a random hash seed the order of set constants.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, *options, compiler.__file__],
        input=marshal.dumps((sources, folder, installed)),
        env={**environment, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    # Not worth failing for: the sandbox compiles whatever lacks bytecode.
    made: dict[str, bytes] = marshal.loads(done.stdout) if done.returncode == 0 else {}
    return made
