"""Values that a module's file assigns to its globals, as far as they can be determined without running it."""

from __future__ import annotations

import ast
import collections
import dataclasses
import types
from collections.abc import Mapping
from typing import Any

_MADE: dict[str, Any] = {
    **{kind.__name__: kind for kind in (dict, set, list, tuple, frozenset, float)},
    **{kind.__name__: kind for kind in (types.SimpleNamespace, collections.OrderedDict, collections.Counter)},
}
_PLAIN = (
    *(ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp, ast.BinOp, ast.Name),
    *(ast.expr_context, ast.operator, ast.unaryop),
)
_PARTS = (*_PLAIN, ast.Call, ast.keyword)


class Unknown(Exception):
    """The value cannot be determined."""


def value_of(node: ast.expr, names: Mapping[str, Any], classes: Mapping[str, ast.ClassDef]) -> Any:
    """Evaluate an expression in a module with the globals `names` and its own classes `classes`.

    Raises
    ------
    Unknown
        It involves more than numbers, strings, collections, and objects that only hold these.
    """
    parts = list(ast.walk(node))
    called = [part.func for part in parts if isinstance(part, ast.Call)]
    used = [part for part in parts if isinstance(part, ast.Name)]
    if not all(isinstance(part, _PARTS) for part in parts) or len(called) != len(used):
        raise Unknown
    makers = {part.id: _maker(part.id, names, classes) for part in used if part in called}
    try:
        # Safe, because only literals, operators and the makers above can occur in it.
        return eval(compile(ast.Expression(node), "<value>", "eval"), {"__builtins__": {}, **makers})
    except Exception:
        raise Unknown from None


def look(value: Any) -> str:
    """Return a text that distinguishes a value from others, independent of the order of sets.

    Raises
    ------
    Unknown
        There is no such text.
    """
    try:
        return _look(value)
    except RecursionError:
        raise Unknown from None


def _look(value: Any) -> str:
    kind = type(value)
    if kind in (list, tuple):
        parts: Any = [_look(part) for part in value]
    elif kind in (set, frozenset):
        parts = sorted(_look(part) for part in value)
    elif kind in (dict, collections.OrderedDict, collections.Counter):
        parts = [(_look(key), _look(part)) for key, part in value.items()]
    elif kind.__module__ != "builtins" and hasattr(value, "__dict__"):
        parts = _look(vars(value))
    else:
        parts = repr(value)
        # A repr with an address is different in each process.
        if " at 0x" in parts and kind is not str:
            raise Unknown
    return f"{kind.__qualname__} {parts}"


def _maker(name: str, names: Mapping[str, Any], classes: Mapping[str, ast.ClassDef]) -> Any:
    made = names.get(name, _MADE.get(name))
    if any(made is one for one in _MADE.values()):
        return made
    if type(made) is type and (dataclasses.is_dataclass(made) or _only_keeps(classes.get(name))):
        return made
    raise Unknown


def _only_keeps(node: ast.ClassDef | None) -> bool:
    """Whether creating an instance only stores plain values and the arguments."""
    if node is None or node.bases or node.keywords or node.decorator_list:
        return False
    methods = {part.name: part for part in node.body if isinstance(part, ast.FunctionDef)}
    if methods.keys() & {"__new__", "__setattr__", "__getattribute__"}:
        return False
    begin = methods.get("__init__")
    return begin is None or all(_keeps(statement) for statement in begin.body)


def _keeps(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        own = all(isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) for one in targets)
        return own and all(isinstance(part, _PLAIN) for part in ast.walk(statement.value))
    text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return text or isinstance(statement, ast.Pass)
