"""Finds the user's own modules that differ in the notebook from their files.

A file was edited or deleted since it was imported, an attribute was patched, or a global was set: tasks must run what
the notebook has, so such modules are pickled by value.
"""

from __future__ import annotations

import ast
import functools
import sys
from abc import ABCMeta
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from lithops_magic.packages import shipped_parts
from lithops_magic.packages.modules import Unit, is_own
from lithops_magic.packages.moment import Moment, moment
from lithops_magic.packages.plain_values import Unknown, look, value_of
from lithops_magic.packages.zipped import is_zipped

_ours: set[str] = set()
"""Modules that are pickled by value because of a difference found here."""


def differing(units: Iterable[Unit], names: Iterable[str]) -> list[str]:
    """Return the loaded modules of `units` that differ from their files, and those of `names` whose files are gone."""
    own = [name for unit in units for name in _loaded(unit.name)]
    return sorted({name for name in own if _differs(sys.modules[name])} | _gone([*names, *own]))


def _gone(names: list[str]) -> set[str]:
    """Return those of `names`, and of the modules their globals come from, whose files are gone."""
    found: set[str] = set()
    seen: set[str] = set()
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if name.startswith("lithops_magic") or not isinstance(file, str) or not _is_own(file):
            continue
        if not Path(file).exists() and not is_zipped(Path(file)):
            found.add(name)
        for value in list(vars(module).values()):
            origin = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(origin, str) and origin not in seen:
                names.append(origin)
    return found


@functools.lru_cache(maxsize=4096)
def _is_own(file: str) -> bool:
    """The same as `is_own`, for every job: where a loaded module's file lies does not change."""
    return is_own(Path(file))


def carry(units: Iterable[Unit], names: Iterable[str]) -> None:
    """Have the modules `names` and all of `units`, which may use them, pickled by value."""
    # All of the user's own modules, not only those that differ: one by name that imports one by value would import its
    # file.
    wanted = {name for unit in units for name in _loaded(unit.name)} | {*names}
    for name in wanted - cloudpickle.list_registry_pickle_by_value():
        cloudpickle.register_pickle_by_value(sys.modules[name])
        _ours.add(name)


def release() -> None:
    """Undo `carry`: modules are pickled by name again, unless something else made them pickled by value."""
    for name in _ours & cloudpickle.list_registry_pickle_by_value():
        # By name alone: the module may have been removed from `sys.modules` since, to import it anew.
        cloudpickle.unregister_pickle_by_value(ModuleType(name))
    _ours.clear()


def _loaded(unit: str) -> list[str]:
    # If they were pickled by value, our classes would differ between task and notebook.
    return (
        []
        if unit in shipped_parts.UNITS
        else [name for name in list(sys.modules) if name == unit or name.startswith(f"{unit}.")]
    )


def _differs(module: ModuleType) -> bool:
    file, loader = getattr(module, "__file__", None), getattr(module, "__loader__", None)
    # Other loaders, such as pytest's, produce code that differs from the file.
    if not isinstance(file, str) or type(loader).__name__ != "SourceFileLoader":
        return False
    try:
        code, tree = _parsed(file, moment(Path(file).stat()))
    except (OSError, SyntaxError, ValueError):
        return True
    return _other_code(vars(module), code, tree.body) or _other_values(module, code, tree)


@functools.lru_cache(maxsize=1024)
def _parsed(file: str, _moment: Moment) -> tuple[CodeType, ast.Module]:
    source = Path(file).read_bytes()
    return compile(source, file, "exec", dont_inherit=True), ast.parse(source)


def _other_code(here: Mapping[str, Any], code: CodeType, body: list[ast.stmt], *, module: bool = True) -> bool:
    """Whether a function defined by a plain `def`, or a method of a class, is not the one in the file."""
    codes = {part.co_name: part for part in code.co_consts if isinstance(part, CodeType)}
    stored = Counter(_stored(body))
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.decorator_list:
            continue
        value = here.get(node.name)
        if isinstance(node, ast.ClassDef):
            if not isinstance(value, type) or _other_code(vars(value), codes[node.name], node.body, module=False):
                return True
        elif isinstance(value, FunctionType):
            if _essence(value.__code__) != _essence(codes[node.name]):
                return True
        # A metaclass may have replaced a method, and a mangled name cannot be found.
        elif module and stored[node.name] == 1 and "*" not in stored:
            return True
    return False


def _other_values(module: ModuleType, code: CodeType, tree: ast.Module) -> bool:
    """Whether a global or class attribute has another plain value than in the file, or a global is not in the file."""
    here = vars(module)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if _unlike(here, tree.body, here, classes):
        return True
    kinds = [(here.get(name), node) for name, node in classes.items()]
    if any(_unlike(vars(kind), node.body, here, classes) for kind, node in kinds if _is_plain(kind, node)):
        return True
    if any(isinstance(node, ast.alias) and node.name == "*" for node in ast.walk(tree)):
        return False
    mentioned = {name for part in _all(code) for name in (*part.co_names, *part.co_varnames)}
    mentioned |= {
        (node.asname or node.name).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.alias)
    }
    names = _globals(module)
    # What is defined in the notebook was put there by the notebook.
    if any(isinstance(here[name], FunctionType | type) and here[name].__module__ == "__main__" for name in names):
        return True
    return any(not name.startswith("__") and name not in mentioned for name in names)


def _is_plain(kind: object, node: ast.ClassDef) -> bool:
    """Whether a class keeps its attributes as written."""
    if not isinstance(kind, type) or type(kind) not in (type, ABCMeta) or issubclass(kind, tuple):
        return False
    return "__slots__" not in vars(kind) and (not node.decorator_list or is_dataclass(kind))


def _unlike(
    here: Mapping[str, Any], body: list[ast.stmt], names: Mapping[str, Any], classes: Mapping[str, ast.ClassDef]
) -> bool:
    """Whether a name's value differs from what the statements of a module or class assign."""
    stored = Counter(_stored(body))
    if "*" in stored:
        return False
    for node in body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name) and stored[target.id] == 1 and not target.id.startswith("__"):
                with suppress(Unknown):
                    there = value_of(node.value, names, classes)
                    if target.id not in here or look(here[target.id]) != look(there):
                        return True
    return False


def _stored(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements of a module or class assign, once per assignment."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            # Of a nested body, only global declarations count.
            yield getattr(node, "name", "")
            yield from (name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names)
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
        elif (changed := _changed(node)) is not None:
            yield changed.id
        waiting += ast.iter_child_nodes(node)


def _changed(node: ast.AST) -> ast.Name | None:
    """The name of the object that a statement modifies: an element or attribute of it, or by one of its methods."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        node = node.value.func
    elif not isinstance(node, ast.Subscript | ast.Attribute) or isinstance(node.ctx, ast.Load):
        return None
    of = node.value if isinstance(node, ast.Subscript | ast.Attribute) else None
    return of if isinstance(of, ast.Name) else None


def _globals(module: ModuleType) -> list[str]:
    """Names of a module's globals, except submodules, which importing adds to a package."""
    return [name for name in vars(module) if f"{module.__name__}.{name}" not in sys.modules and name != "@py_builtins"]


def _all(code: CodeType) -> Iterator[CodeType]:
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _all(part)


def _essence(code: CodeType) -> tuple[Any, ...]:
    """What a function does, regardless of line numbers."""
    # With types, because 1, 1.0 and True are equal.
    consts = tuple(_essence(part) if isinstance(part, CodeType) else (type(part), part) for part in code.co_consts)
    return code.co_code, consts, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
