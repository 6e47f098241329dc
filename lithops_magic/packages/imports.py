"""Determines which modules code imports, without running it."""

from __future__ import annotations

import ast
import dis
import functools
import marshal
import re
from collections.abc import Iterable, Iterator, Set
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType

from lithops_magic.packages.moment import Moment, moment

_PYC_HEADER = 16
"""Bytes of a bytecode file before the code (PEP 552)."""
_PATH = 200
"""Maximum characters of a string that may name a file."""
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_DYNAMIC = {"import_module", "__import__", "find_spec", "resolve_name", "run_module"}
"""Functions that take a module's name."""
_DYNAMIC_THERE = {"locate", "get_data", "files", "open_text", "open_binary", "read_binary"}
_THERE = {"pydoc", "pkgutil", "resources", "importlib.resources", "importlib_resources"}
"""Modules with functions that do so under names that others have, too."""
_MODULE_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def imports_of_code(codes: Iterable[CodeType]) -> set[str]:
    """Return what compiled code imports: ``from a import b`` gives ``a`` and ``a.b``, which may not be a module."""
    found: set[str] = set()
    waiting = list(codes)
    while waiting:
        code = waiting.pop()
        waiting += [const for const in code.co_consts if isinstance(const, CodeType)]
        if code.co_names:
            found.update(_imports(code))
    return found


def _imports(code: CodeType) -> Iterator[str]:
    # For arguments above 255, the higher bytes are instructions of their own.
    instructions = [one for one in dis.get_instructions(code) if one.opname != "EXTENDED_ARG"]
    # An import always loads two constants first, its level and its list of names (`dis`, IMPORT_NAME).
    for level, names, instruction in zip(instructions, instructions[1:], instructions[2:], strict=False):
        # Relative imports occur in modules that are shipped, whose source is read.
        if instruction.opname == "IMPORT_NAME" and not level.argval:
            yield from _candidates(instruction.argval, names.argval or ())
    names_there = _THERE.intersection(code.co_names) and _DYNAMIC_THERE.intersection(code.co_names)
    if names_there or _DYNAMIC.intersection(code.co_names):
        # Which string is passed to it is not known, but what is no module is ignored later. One that ends in a dot is
        # the package of a module whose name is computed; after a colon, there may be a name in a module.
        texts = (text.partition(":")[0].rstrip(".") for text in code.co_consts if isinstance(text, str))
        yield from (text for text in texts if _MODULE_NAME.fullmatch(text))


def _candidates(module: str, names: Iterable[str]) -> Iterator[str]:
    yield module
    yield from (f"{module}.{name}" for name in names if name != "*")


def imports_of_file(path: Path, package: str) -> frozenset[str]:
    """Return what a source file imports; relative imports start from `package`."""
    return _imports_of_file(path, package, moment(path.stat()))


@functools.lru_cache(maxsize=4096)
def _imports_of_file(path: Path, package: str, _moment: Moment) -> frozenset[str]:
    try:
        if path.suffix == ".pyc":
            return frozenset(imports_of_code([_code(path)]))
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError, EOFError, TypeError):
        return frozenset()
    return frozenset(imports_of_tree(tree, package))


def _code(path: Path) -> CodeType:
    """Return the code in a bytecode file.

    Raises
    ------
    ValueError
        It was compiled by another Python.
    """
    data = path.read_bytes()
    if data[:4] != MAGIC_NUMBER:
        raise ValueError(path.name)
    code: CodeType = marshal.loads(data[_PYC_HEADER:])
    return code


def strings_beside(codes: Iterable[CodeType], names: Set[str]) -> Iterator[str]:
    """Yield the strings in code that uses any of `names`; of a list, only the first."""
    waiting = list(codes)
    while waiting:
        code = waiting.pop()
        waiting += [const for const in code.co_consts if isinstance(const, CodeType)]
        if not names.isdisjoint(code.co_names):
            # A list of constants is compiled to one tuple.
            firsts = (const[0] if isinstance(const, tuple) and const else const for const in code.co_consts)
            yield from (first for first in firsts if isinstance(first, str))


def strings_of_file(path: Path) -> tuple[frozenset[str], bool]:
    """Return the short strings in a source file, and whether it looks up its own location."""
    return _strings_of_file(path, moment(path.stat()))


@functools.lru_cache(maxsize=1024)
def _strings_of_file(path: Path, _moment: Moment) -> tuple[frozenset[str], bool]:
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes(), str(path))))
    except (SyntaxError, ValueError):
        return frozenset(), False
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    looks = any(isinstance(node, ast.Name) and node.id == "__file__" for node in nodes)
    return frozenset(text for text in texts if len(text) <= _PATH and text.isprintable()), looks


def imports_of_tree(tree: ast.AST, package: str = "") -> Iterator[str]:
    """Yield everything that parsed code imports, except imports for type checkers only."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _candidates(_absolute(node, package), [alias.name for alias in node.names])
        elif isinstance(node, ast.If) and _only_for_types(node.test):
            waiting += node.orelse
        else:
            # Descend only into nodes that contain statements.
            waiting += [child for name in _BLOCKS for child in getattr(node, name, ())]


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    start = parts[: len(parts) - node.level + 1]
    return ".".join([*start, *([node.module] if node.module else [])])


def _only_for_types(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"
