"""Compiles those modules of a distribution that imports load; a separate program that imports none of ours.

If the notebook's Python has compiled the same source before, that bytecode is reused in a fifth of the time. Each
distribution is compiled in a fresh process, so that the same source gives the same bytes either way, except for the
few modules in which Python itself merges equal functions or sets of constants differently. It imports little, because
imports would take longer than compiling most distributions.
"""

from __future__ import annotations

import gc
import importlib.util
import marshal
import opcode
import os.path
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import SourceFileLoader
from types import CodeType

_CHECKED_HASH = 0b11
"""Python compares the source's hash and recompiles bytecode that does not match (PEP 552)."""
_FUNCTION = 1
"""Flag of code that runs when called (CO_OPTIMIZED of `inspect`, which is slow to import)."""
_RARELY_IMPORTED = {"conftest", "distutils", "f2py", "setup", "test", "testing", "tests"}
_LOADS = {opcode.opmap[name] for name in ("LOAD_CONST", "LOAD_SMALL_INT") if name in opcode.opmap}
_IMPORT = opcode.opmap["IMPORT_NAME"]
_NAMES = {opcode.opmap["LOAD_NAME"]: 0, opcode.opmap["LOAD_ATTR"]: int(sys.version_info >= (3, 12))}
"""Instructions that read a name, with the number of argument bits that are flags."""
_UNLESS = {code for name, code in opcode.opmap.items() if name.startswith("POP_JUMP") and name.endswith("IF_FALSE")}


def main() -> None:
    """Read paths of sources by their names in the layer from stdin, and write bytecode by its name there to stdout."""
    gc.disable()  # there are no reference cycles to collect
    # marshal is built in; json or pickle would have to be imported.
    sources, folder, installed = marshal.load(sys.stdin.buffer)
    marshal.dump(dict(compiled(sources, folder, installed)), sys.stdout.buffer)


def compiled(sources: Mapping[str, str], folder: str, installed: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield the bytecode loaded by ``import package`` and ``import package.part``, and by their imports.

    Parameters
    ----------
    sources
        Paths of source files by name, such as ``package/part.py``.
    folder
        Where they will be.
    installed
        Where this machine's Python may have the same modules and their bytecode; empty: where the sources are.
    """
    modules = {_module(name): name for name in sorted(sources) if _is_importable(name)}
    waiting = [module for module in modules if _is_likely(module, modules)]
    seen = set(waiting)
    for module in waiting:
        name = modules[module]
        source = _read(sources[name])
        here = os.path.join(installed, name) if installed else sources[name]
        try:
            code = _Loader(module, f"{folder}/{name}", source, here).code()
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # a template, or code for another Python version
        yield _place(name), _header(source) + marshal.dumps(code)
        package = module if name.endswith("/__init__.py") else module.rpartition(".")[0]
        for imported in _with_parents(imports(code, package)):
            if imported in modules and imported not in seen:
                seen.add(imported)
                waiting.append(imported)


class _Loader(SourceFileLoader):
    """Takes bytecode that this machine's Python would load for the same source, which is fast, or compiles it."""

    def __init__(self, module: str, path: str, source: bytes, installed: str) -> None:
        super().__init__(module, path)
        self._source = source
        self._installed = installed

    def code(self) -> CodeType:
        """Return the module's code."""
        try:
            return self.get_code(self.name) or self.source_to_code(self._source, self.path)
        except (ImportError, EOFError, TypeError):  # the cached bytecode is damaged
            return self.source_to_code(self._source, self.path)

    def source_to_code(self, data: bytes, path: str) -> CodeType:  # type: ignore[override]
        """Compile, then marshal and unmarshal, so that the bytes are the same as for cached bytecode."""
        found: CodeType = marshal.loads(marshal.dumps(super().source_to_code(data, path)))
        return found

    def path_stats(self, _: str) -> Mapping[str, float]:
        """Return the stats by which bytecode matches the installed source, if that is the source to compile."""
        # The layer's source may be another version, or trimmed, or edited here.
        if _read(self._installed) != self._source:
            raise OSError
        return super().path_stats(self._installed)

    def get_data(self, path: str) -> bytes:
        """Return the source, or the bytecode next to the installed one."""
        if path == self.path:
            return self._source
        return _read(os.path.join(os.path.dirname(self._installed), "__pycache__", os.path.basename(path)))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def imports(code: CodeType, package: str) -> Iterator[str]:
    """Yield what running a module's code imports; functions are not run, and TYPE_CHECKING is false."""
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
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _is_importable(name: str) -> bool:
    return all(part.isidentifier() for part in name.removesuffix(".py").split("/"))


def _is_likely(module: str, modules: Mapping[str, str]) -> bool:
    """Whether programs are likely to import it directly: a top-level module, or a public part of one."""
    parts = module.split(".")
    above = sum(".".join(parts[:count]) in modules for count in range(1, len(parts)))
    private = any(part.startswith("_") for part in parts[1:])
    return not _RARELY_IMPORTED.intersection(parts) and (above == 0 or (above == 1 and not private))


def _place(name: str) -> str:
    # Lambda runs Python without -O.
    return importlib.util.cache_from_source(name, optimization="")


def _header(source: bytes) -> bytes:
    return importlib.util.MAGIC_NUMBER + _CHECKED_HASH.to_bytes(4, "little") + importlib.util.source_hash(source)


if __name__ == "__main__":
    main()
