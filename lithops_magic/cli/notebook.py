"""What a notebook's cells run on Lambda and what that needs, determined without running anything."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lithops_magic.errors import ConfigError

if TYPE_CHECKING:
    from lithops_magic.notebook.parse.grammar import MapLine
    from lithops_magic.packages import Need

_MAGICS = frozenset({"lambda_map", "lambda_call"})
_WRAPPERS = frozenset({"capture", "time", "timeit"})
"""Cell magics that run their body like a normal cell."""


@dataclass(slots=True)
class MappedCell:
    """A cell or line that runs something on Lambda."""

    number: int
    line: str
    body: ast.Module


@dataclass(slots=True)
class NotebookCode:
    """A notebook's code, as far as it can be parsed without running it."""

    mapped: list[MappedCell] = field(default_factory=list)
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    """The top-level statements that bind each name."""


def needs_of_notebook(path: Path) -> Iterator[tuple[MappedCell, Need]]:
    """Yield each mapped cell with its needs.

    Raises
    ------
    ConfigError
        The file cannot be read, or is not a notebook.
    PackageError
        Something needed cannot be shipped.
    """
    code = read(path)
    # As in the notebook's kernel, modules next to the notebook come first.
    sys.path.insert(0, str(path.resolve().parent))
    for cell in code.mapped:
        yield cell, need_of_cell(code, cell)


def read(path: Path) -> NotebookCode:
    """Read the code cells of a notebook.

    Raises
    ------
    ConfigError
        The file cannot be read, or is not a notebook.
    """
    try:
        cells = json.loads(path.read_bytes())["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is not a notebook.") from None
    code = NotebookCode()
    for number, source in enumerate(sources, 1):
        _add(code, number, source)
    return code


def _add(code: NotebookCode, number: int, source: str) -> None:
    tree = _parse(source)
    _define(code, tree)
    for name, line, below in _magics(tree):
        if name in _WRAPPERS and below is not None:
            _add(code, number, below)
        elif name in _MAGICS:
            sign = "%" if below is None else "%%"
            code.mapped.append(MappedCell(number, f"{sign}{name} {line}".rstrip(), _parse(below or "")))
            _define(code, code.mapped[-1].body)


def _magics(tree: ast.Module) -> Iterator[tuple[str, str, str | None]]:
    """Yield each magic's name and line, and the body of a cell magic."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(attr="run_line_magic"), [ast.Constant(str(name)), ast.Constant(str(line))]):
                yield name, line, None
            case ast.Call(
                ast.Attribute(attr="run_cell_magic"),
                [ast.Constant(str(name)), ast.Constant(str(line)), ast.Constant(str(below))],
            ):
                yield name, line, below


def _parse(source: str) -> ast.Module:
    """Parse a cell like IPython, which turns magics into calls; return an empty module if it is not Python."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return ast.parse(TransformerManager().transform_cell(source))  # type: ignore[no-untyped-call]
    except SyntaxError:
        return ast.Module([], [])


def _define(code: NotebookCode, body: ast.Module) -> None:
    for statement in body.body:
        for name in _bound(statement):
            code.definitions.setdefault(name, []).append(statement)


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
    else:
        stores = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
        yield from (node.id for node in stores if isinstance(node.ctx, ast.Store))


def need_of_cell(code: NotebookCode, cell: MappedCell) -> Need:
    """Return what a mapped cell needs: its own imports, and those of the notebook code it uses.

    Raises
    ------
    ConfigError
        Its line is invalid, such as one with an unknown option.
    PackageError
        Something needed cannot be shipped.
    """
    from lithops_magic.packages import Request
    from lithops_magic.packages.imports import imports_of_tree
    from lithops_magic.packages.need import need_of

    asked = _asked(cell)
    found: dict[str, str] = dict.fromkeys(imports_of_tree(cell.body), "imported by the cell")
    used = (asked.items, asked.function, asked.options.reduce)
    waiting: list[ast.AST] = [cell.body, *(_parse(text) for text in used if text)]
    # The target belongs to the cell, even if the notebook uses its name for something else.
    seen = {node.id for node in ast.walk(_parse(asked.target or "")) if isinstance(node, ast.Name)}
    while waiting:
        for node in ast.walk(waiting.pop()):
            # Names are followed transitively: a function of the notebook may use another, and its imports.
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                for statement in code.definitions.get(node.id, ()):
                    found |= dict.fromkeys(imports_of_tree(statement), f"used as {node.id}") | found
                    waiting.append(statement)
    return need_of(found, Request.parse(asked.options.packages))


def _asked(cell: MappedCell) -> MapLine:
    from lithops_magic.notebook.parse import grammar, options
    from lithops_magic.notebook.parse.line_options import options_only
    from lithops_magic.notebook.parse.usage_error import UsageError

    magic, _, line = cell.line.partition(" ")
    try:
        if magic == "%%lambda_call":
            return grammar.MapLine("", None, None, options_only(line, options.CALL, magic))
        return (grammar.cell_line if magic == "%%lambda_map" else grammar.magic_line)(line)
    except UsageError as error:
        raise ConfigError(f"Cell {cell.number}, `{cell.line}`: {error}") from None
