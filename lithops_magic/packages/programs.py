"""Programs that installed distributions bring, and the strings by which code runs them."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from types import CodeType

from packaging.utils import canonicalize_name

from lithops_magic.packages.distributions import NOT_SHIPPED
from lithops_magic.packages.imports import strings_beside
from lithops_magic.packages.metadata import name_of, text
from lithops_magic.packages.platform import PROVIDED
from lithops_magic.packages.site_folders import site_folders

_RUN = {
    *("run", "call", "check_call", "check_output", "getoutput", "getstatusoutput", "Popen", "system", "popen", "which"),
    *("create_subprocess_exec", "create_subprocess_shell", "execvp", "execvpe", "execlp", "spawnvp", "spawnlp"),
}
"""Functions that run a program, or look for one."""
_COMMANDS = re.compile(r"[|;&\n(`]+")
"""What separates commands in a string for a shell."""
_NAME = re.compile(r"\w[\w.+-]{0,99}")
_PROGRAM = re.compile(r"^(?:\.\.[/\\])*(?:bin|Scripts)[/\\]([\w.+-]+?)(?:\.exe)?,", re.MULTILINE)
"""A program in a list of installed files."""


def owner_of_program(name: str) -> str:
    """Return the canonical name of the installed distribution with this program; empty if there is none."""
    return _owners(site_folders()).get(name, "") if _NAME.fullmatch(name) else ""


def owners_of_called(codes: Iterable[CodeType]) -> set[str]:
    """Return the canonical names of the installed distributions with programs that code runs by name."""
    names = {word for text in strings_beside(codes, _RUN) for word in words(text)}
    return {owner for name in names if (owner := owner_of_program(name))}


def words(commands: str) -> Iterator[str]:
    """Yield the first word of each command in a string for a shell."""
    for command in _COMMANDS.split(commands):
        yield from command.split(maxsplit=1)[:1]


@functools.lru_cache(maxsize=1)
def _owners(_folders: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        owner = canonicalize_name(name_of(distribution))
        if owner not in NOT_SHIPPED | PROVIDED:
            # Parsing all lists of files would take much longer.
            for name in _PROGRAM.findall(text(distribution, "RECORD") or ""):
                found.setdefault(name, owner)
    return found
