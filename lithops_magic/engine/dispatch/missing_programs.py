"""Names the program that a task did not find and this machine has."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator

from lithops_magic.errors import RemoteTraceback
from lithops_magic.packages.programs import owner_of_program, words

_CALLERS = ("/subprocess.py", "/os.py", "/pty.py")
"""Modules that start programs."""
_PATH = re.compile(r"No such file or directory: '([^']+)'")
_NOT_FOUND = re.compile(r"Command '(.+)' returned non-zero exit status 127\.", re.DOTALL)
"""How Python reports that a shell did not find a program."""
_STRINGS = re.compile(r"'[^']*'|\"[^\"]*\"")


def missing(error: RemoteTraceback) -> Iterator[tuple[str, str]]:
    """Yield programs that a sandbox lacked, each with the installed distribution that has it."""
    for path in _asked_for(error):
        is_file_here = os.path.exists(path) and not path.startswith(sys.prefix)  # noqa: PTH110
        if not is_file_here and (owner := owner_of_program(os.path.basename(path))):  # noqa: PTH119
            yield path, owner


def explain(error: RemoteTraceback) -> str:
    """Say how to bring the program that a sandbox lacked and this machine has; empty if there is none."""
    for path, owner in missing(error):
        name = os.path.basename(path)  # noqa: PTH119
        call = f" and call it by its name, {name}" if os.path.exists(path) and name != path else ""  # noqa: PTH110
        return f"{name} is a program of {owner}, which is installed here: ship it with --packages {owner}{call}"
    for path in _asked_for(error):
        if "/" not in path and shutil.which(path):
            return (
                f"the program {path} is on this machine and not in the sandbox: use a container image or a layer that "
                "has it, or ship a static build with files (--files) and call it by its path"
            )
    return ""


def _asked_for(error: RemoteTraceback) -> Iterator[str]:
    for one in error.chain():
        if one.type == "FileNotFoundError" and any(frame.file.endswith(_CALLERS) for frame in one.frames):
            yield from _PATH.findall(one.message)
        elif command := _NOT_FOUND.match(one.message):
            listed = _STRINGS.findall(command[1]) if command[1].startswith("[") else [command[1]]
            yield from (word for text in listed for word in words(text.strip("'\"")))
