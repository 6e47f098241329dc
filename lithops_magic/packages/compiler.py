"""Compiles the modules of one distribution that importing it loads; a program of its own, which imports nothing of us.

A process for each distribution, which has compiled nothing else, so that the same source always gives the same bytes.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import marshal
import opcode
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import CodeType

_CHECKED_HASH = 0b11
"""Python compares the hash of the source and compiles anew what is not its own (PEP 552)."""
_FUNCTION = 1
"""Flag of code that runs when it is called (CO_OPTIMIZED of `inspect`, which takes long to import)."""
_RARELY_IMPORTED = {"conftest", "distutils", "f2py", "setup", "test", "testing", "tests"}
_LOADS = {opcode.opmap[name] for name in ("LOAD_CONST", "LOAD_SMALL_INT") if name in opcode.opmap}
_IMPORT = opcode.opmap["IMPORT_NAME"]
_NAMES = {opcode.opmap["LOAD_NAME"]: 0, opcode.opmap["LOAD_ATTR"]: int(sys.version_info >= (3, 12))}
"""What reads a name, with the bits of its argument that say something else."""
_UNLESS = {code for name, code in opcode.opmap.items() if name.startswith("POP_JUMP") and name.endswith("IF_FALSE")}


def main() -> None:
    """Read from stdin where the sources are and where their bytecode goes, both by their names in the layer."""
    gc.disable()  # nothing is in circles
    given = json.load(sys.stdin)
    sources = {name: Path(path) for name, path in given["sources"].items()}
    for name, data in compiled(sources, given["folder"]):
        path = Path(given["to"], name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def compiled(sources: Mapping[str, Path], folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield the bytecode of what is loaded by ``import package`` and ``import package.part``, and what that imports.

    Parameters
    ----------
    sources
        Source files by their names, such as ``package/part.py``.
    folder
        Where they will lie.
    """
    modules = {_module(name): name for name in sorted(sources) if _is_importable(name)}
    waiting = [module for module in modules if _is_likely(module, modules)]
    seen = set(waiting)
    for module in waiting:
        name = modules[module]
        source = sources[name].read_bytes()
        try:
            code = compile(source, f"{folder}/{name}", "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # a template, or for another Python
        yield _place(name), _header(source) + marshal.dumps(code)
        package = module if name.endswith("/__init__.py") else module.rpartition(".")[0]
        for imported in _with_parents(imports(code, package)):
            if imported in modules and imported not in seen:
                seen.add(imported)
                waiting.append(imported)


def imports(code: CodeType, package: str) -> Iterator[str]:
    """Yield what running a module's code imports; functions in it are not run, and nothing is a type checker."""
    extended = skipped = 0
    loaded: list[object] = [0, None]
    name = ""
    text = code.co_code
    for position in range(0, len(text), 2):
        operation, argument = text[position], text[position + 1] | extended
        extended = argument << 8 if operation == opcode.EXTENDED_ARG else 0
        if operation in _LOADS:
            loaded = [loaded[-1], code.co_consts[argument] if operation == opcode.opmap["LOAD_CONST"] else argument]
        elif operation in _NAMES:
            name = code.co_names[argument >> _NAMES[operation]]
        elif operation in _UNLESS and name == "TYPE_CHECKING":
            skipped, name = position + 2 * argument, ""
        elif operation == _IMPORT and position > skipped:
            yield from _named(code.co_names[argument], loaded, package)
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and not inner.co_flags & _FUNCTION:
            yield from imports(inner, package)


def _named(module: str, loaded: list[object], package: str) -> Iterator[str]:
    level, names = loaded
    if isinstance(level, int) and level:
        parts = package.split(".")
        module = ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])
    yield module
    if isinstance(names, tuple):
        yield from (f"{module}.{name}" for name in names)


def _with_parents(modules: Iterable[str]) -> Iterator[str]:
    for module in modules:
        parts = module.split(".")
        yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _module(name: str) -> str:
    path = PurePosixPath(name).with_suffix("")
    return ".".join(path.parent.parts if path.name == "__init__" else path.parts)


def _is_importable(name: str) -> bool:
    return all(part.isidentifier() for part in PurePosixPath(name).with_suffix("").parts)


def _is_likely(module: str, modules: Mapping[str, str]) -> bool:
    """Whether programs import it by its own name: a top-level module, or a public part of it."""
    parts = module.split(".")
    above = sum(".".join(parts[:count]) in modules for count in range(1, len(parts)))
    private = any(part.startswith("_") for part in parts[1:])
    return not _RARELY_IMPORTED.intersection(parts) and (above == 0 or (above == 1 and not private))


def _place(name: str) -> str:
    return importlib.util.cache_from_source(name, optimization="")


def _header(source: bytes) -> bytes:
    return importlib.util.MAGIC_NUMBER + _CHECKED_HASH.to_bytes(4, "little") + importlib.util.source_hash(source)


if __name__ == "__main__":
    main()
