"""Programs that installed distributions bring, and the strings by which code runs them."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from types import CodeType

from packaging.utils import canonicalize_name

from lithops_magic.packages.distributions import NOT_SHIPPED, installed
from lithops_magic.packages.editable import contents_of
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
_MODULE = re.compile(r"(\w+)(?:\.py|/__init__\.py)")
_PROGRAM = re.compile(r"^(?:\.\.[/\\])*(?:bin|Scripts)[/\\]([\w.+-]+?)(?:\.exe)?,", re.MULTILINE)
"""A program in a list of installed files."""


def owner_of_program(name: str) -> str:
    """Return the canonical name of the installed distribution with this program; empty if there is none."""
    return _owners(site_folders()).get(name, "") if _NAME.fullmatch(name) else ""


def modules_of_programs(codes: Iterable[CodeType]) -> Iterator[str]:
    """Yield a module of each installed distribution with a program that code runs by name."""
    for name in dict.fromkeys(_called(codes)):
        distribution = installed(owner_of_program(name))
        files = contents_of(distribution) if distribution else ()
        found = (match[1] for file in files if (match := _MODULE.fullmatch(file.name)))
        yield from (module for module in [next(found, "")] if module)


def words(commands: str) -> Iterator[str]:
    """Yield the first word of each command in a string for a shell."""
    for command in _COMMANDS.split(commands):
        yield from command.split(maxsplit=1)[:1]


def _called(codes: Iterable[CodeType]) -> Iterator[str]:
    waiting = list(codes)
    while waiting:
        code = waiting.pop()
        waiting += [const for const in code.co_consts if isinstance(const, CodeType)]
        if _RUN.intersection(code.co_names):
            # A list of constants is compiled to one tuple.
            firsts = (const[0] if isinstance(const, tuple) and const else const for const in code.co_consts)
            yield from (word for first in firsts if isinstance(first, str) for word in words(first))


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
