"""Names that code looks up in a text, as `df.query("v > @limit")` does: pickle sees no use of them."""

from __future__ import annotations

import dis
import re
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

_AT = re.compile(r"@([^\W\d]\w*)")
_WORD = re.compile(r"(?<![\w.@])([^\W\d]\w*)")
_TABLE = re.compile(r"\b(?:from|join)\s+([^\W\d]\w*)", re.IGNORECASE)
_LOOKS_UP = {
    "query": (_AT, _TABLE),
    "eval": (_AT, _WORD),
    "exec": (_WORD,),
    "evaluate": (_WORD,),
    "sql": (_TABLE,),
    "execute": (_TABLE,),
    "from_query": (_TABLE,),
}
"""Functions and methods of Python, pandas, NumExpr, DuckDB and Polars, and how names stand in their texts."""
_DATA = {"builtins", "numpy", "pandas", "polars", "pyarrow", "duckdb"}
"""Packages of whose types a value may be that such a text names."""
_PYTHONS = {"eval", "exec"}
"""Python's own may name anything."""
_BETWEEN = {"PUSH_NULL", "CACHE", "NOP"}
_NAMING = {"LOAD_ATTR", "LOAD_GLOBAL", "LOAD_METHOD", "LOAD_NAME", "LOAD_DEREF", "LOAD_FAST"}


def looked_up(function: FunctionType) -> dict[str, Any]:
    """Return the globals that a function names in texts which stand in its code, with their values."""
    found = {}
    for name, anything in _names(function.__code__):
        if name in function.__globals__:
            value = function.__globals__[name]
            # A word may just as well name a column, while the notebook uses that name for something else.
            if anything or type(value).__module__.partition(".")[0] in _DATA:
                found[name] = value
    return found


def _names(code: CodeType) -> Iterator[tuple[str, bool]]:
    """Yield the names in texts that are the first argument of such a call, and whether each may be anything."""
    called, own = "", False
    for instruction in dis.get_instructions(code) if any(name in code.co_names for name in _LOOKS_UP) else ():
        if instruction.opname in _NAMING:
            called, own = str(instruction.argval), instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        elif called in _LOOKS_UP and instruction.opname == "LOAD_CONST" and isinstance(instruction.argval, str):
            for pattern in _LOOKS_UP[called]:
                anything = pattern is _AT or (own and called in _PYTHONS)
                yield from ((name, anything) for name in pattern.findall(instruction.argval))
        if instruction.opname not in (*_NAMING, *_BETWEEN):
            called = ""
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _names(const)
