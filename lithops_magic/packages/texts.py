"""Names that code looks up in strings, as in `df.query("v > @limit")`: pickle does not see that they are used."""

from __future__ import annotations

import dis
import re
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

_AT = re.compile(r"(?<!\w)@([^\W\d]\w*)")
_WORD = re.compile(r"(?<![\w.@])([^\W\d]\w*)")
_SQL = re.compile(r"\b(?:from|join|describe|summarize|pivot|unpivot|using)\b", re.IGNORECASE)
_MAX_TEXT = 20_000
"""Maximum characters of a string that was written by hand."""

_QUERIES = {"query", "sql", "execute", "execute_global", "from_query"}
"""Functions and methods that read SQL or, in pandas, names after an ``@``."""
_EXPRESSIONS = {"eval", "exec", "evaluate", "timeit", "globals"}
"""Functions of Python, pandas and NumExpr whose strings contain names of values."""
_FORMULAS = {
    *("conditional_logit", "dmatrices", "dmatrix", "feols", "fepois", "from_formula", "gee", "glm", "gls", "logit"),
    *("mixedlm", "mnlogit", "model_matrix", "negativebinomial", "ols", "phreg", "poisson", "probit", "quantreg", "rlm"),
    "wls",
}
"""Functions of patsy, formulaic, statsmodels and pyfixest that take ``y ~ np.log(x)``."""
_READ = _QUERIES | _EXPRESSIONS | _FORMULAS

_DATA = {"numpy", "pandas", "polars", "pyarrow", "duckdb", "geopandas", "xarray"}
"""Packages whose types a value may have that such a string names."""
_PLAIN = (bool, int, float, complex, str)
_CODE = (FunctionType, BuiltinFunctionType, ModuleType, type)
_PYTHONS = {"eval", "exec"}
"""Python's own functions, whose strings may name anything."""
_BETWEEN = {"PUSH_NULL", "CACHE", "NOP"}
_NAMING = {"LOAD_ATTR", "LOAD_GLOBAL", "LOAD_METHOD", "LOAD_NAME", "LOAD_DEREF", "LOAD_FAST"}


def looked_up(function: FunctionType) -> dict[str, Any]:
    """Return the globals that a function names in strings, with their values.

    The strings are in its code, whole or in pieces, or are initial values of its parameters and variables.
    """
    codes = list(_codes(function.__code__))
    readers = {name for code in codes for name in code.co_names if name in _READ}
    if not readers:
        return {}
    here = function.__globals__
    found = {name: here[name] for code in codes for name in _evaluated(code) if name in here}
    for text in _texts(function, codes):
        for name, anything, kinds in _names(text, readers):
            if name in here and name not in found:
                value = here[name]
                # A word may just as well name a column, while the notebook uses that name for something else.
                if anything or isinstance(value, kinds) or type(value).__module__.partition(".")[0] in _DATA:
                    found[name] = value
    return found


def _names(text: str, readers: set[str]) -> Iterator[tuple[str, bool, tuple[type, ...]]]:
    """Yield the names in a string: whether each may be anything and, if not, which types besides data it may have."""
    if readers & {"query", "eval"}:
        yield from ((name, True, ()) for name in _AT.findall(text))
    if "globals" in readers and text.isidentifier():
        yield text, True, ()
    kinds = (_PLAIN if readers & (_EXPRESSIONS | _FORMULAS) else ()) + (
        _CODE if readers - _QUERIES - {"evaluate"} else ()
    )
    if kinds or _SQL.search(text):
        yield from ((name, False, kinds) for name in _WORD.findall(text))


def _texts(function: FunctionType, codes: list[CodeType]) -> set[str]:
    values = [const for code in codes for const in code.co_consts]
    values += [function.__globals__.get(name) for code in codes for name in code.co_names]
    values += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # the cell is empty
            continue
    texts = {value for value in values if type(value) is str and len(value) <= _MAX_TEXT}
    return texts - {function.__doc__ or ""}


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)


def _evaluated(code: CodeType) -> Iterator[str]:
    """Yield the names in strings that are the first argument of Python's `eval` or `exec`."""
    called, own = "", False
    for instruction in dis.get_instructions(code) if _PYTHONS.intersection(code.co_names) else ():
        if instruction.opname in _NAMING:
            called, own = str(instruction.argval), instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        elif called in _PYTHONS and own and instruction.opname == "LOAD_CONST" and isinstance(instruction.argval, str):
            yield from _WORD.findall(instruction.argval)
        if instruction.opname not in (*_NAMING, *_BETWEEN):
            called = ""
