"""`lithops-magic packages`: what the mapped cells of a notebook would be given on Lambda, and why; runs no cell."""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError

if TYPE_CHECKING:
    from .packages import Need, Supply

_MAPS = ("%%lambda_map", "%lambda_map")


@dataclass(slots=True)
class MappedCell:
    """A cell, or line, that maps something."""

    number: int
    line: str
    body: ast.Module


@dataclass(slots=True)
class NotebookCode:
    """The code of a notebook, as far as it can be read without running it."""

    mapped: list[MappedCell] = field(default_factory=list)
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    """The top-level statements that bind a name."""


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("packages", help="show which packages the mapped cells of a notebook would be given")
    parser.add_argument("notebook", type=Path, metavar="FILE.ipynb")
    parser.set_defaults(run=_show)


def _show(options: argparse.Namespace) -> int:
    from . import config
    from .packages import Room, Target, supply

    settings = config.load()
    target = Target.of(settings.architecture, local=settings.local)
    # The local AWS runs no images.
    room = Room.of(settings.replace(runtime=None) if settings.local else settings)
    found = list(needs_of_notebook(options.notebook))
    for cell, need in found:
        print(f"cell {cell.number}: {cell.line}")
        print("\n".join(_lines(need, supply(need, target, _progress, room))) or "  nothing")
    if not found:
        print(f"No cell of {options.notebook} maps anything.")
    return 0


def needs_of_notebook(path: Path) -> Iterator[tuple[MappedCell, Need]]:
    """Yield each mapped cell with what it needs.

    Raises
    ------
    ConfigError
        The file cannot be read, or is no notebook.
    PackageError
        Something cannot be shipped.
    """
    code = read(path)
    # As in the notebook's kernel: the modules beside it come first.
    sys.path.insert(0, str(path.resolve().parent))
    for cell in code.mapped:
        yield cell, need_of_cell(code, cell)


def read(path: Path) -> NotebookCode:
    """Read the code cells of a notebook.

    Raises
    ------
    ConfigError
        It cannot be read, or is no notebook.
    """
    try:
        cells = json.loads(path.read_bytes())["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is no notebook.") from None
    code = NotebookCode()
    for number, source in enumerate(sources, 1):
        _add(code, number, source)
    return code


def _add(code: NotebookCode, number: int, source: str) -> None:
    first, _, rest = source.partition("\n")
    if first.startswith("%%"):
        if first.startswith(_MAPS[0]):
            code.mapped.append(MappedCell(number, first, _parse(rest)))
            _define(code, code.mapped[-1].body)
        return
    lines = source.splitlines()
    _define(code, _parse("\n".join("" if line.startswith(("%", "!")) else line for line in lines)))
    for line in lines:
        if line.startswith(_MAPS[1]):
            code.mapped.append(MappedCell(number, line, _parse("")))


def _parse(source: str) -> ast.Module:
    try:
        return ast.parse(source)
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
    """Return what a mapped cell needs: its own imports, and those of what it uses of the notebook.

    Raises
    ------
    PackageError
        Something cannot be shipped.
    """
    from .notebook.grammar import split_options
    from .packages import Request
    from .packages.imports import imports_of_tree
    from .packages.need import need_of

    text, given = split_options(cell.line.partition(" ")[2])
    found: dict[str, str] = dict.fromkeys(imports_of_tree(cell.body), "imported by the cell")
    waiting: list[ast.AST] = [cell.body, _parse(text.partition(" in ")[2] or text.partition(" ")[0] or text)]
    seen: set[str] = set()
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                for statement in code.definitions.get(node.id, ()):
                    found |= dict.fromkeys(imports_of_tree(statement), f"used as {node.id}") | found
                    waiting.append(statement)
    return need_of(found, Request.parse(given.packages))


def _lines(need: Need, given: Supply) -> Iterator[str]:
    parts = {part.name: part for part in given.parts}
    for layer in given.built:
        for entry in layer.packages:
            part = parts.get(_canonical(entry.name))
            here = f" (here {part.version})" if part and part.version != entry.version else ""
            why = part.why if part else "required or asked for"
            yield f"  {entry.name} {entry.version}{here}  {entry.size / 2**20:,.1f} MB  {why}"
    yield from (f"  {name}  your own, sent with the job" for name in _own(need))
    kinds = [("layer", given.layers), ("archive in S3, unpacked to /tmp at each cold start", given.archives)]
    for kind, layers in kinds:
        for layer in layers:
            yield f"  {kind}: {layer.size / 2**20:,.1f} MB zipped, {layer.unzipped / 2**20:,.1f} MB unzipped"
    yield from (f"  Note: {note}" for note in given.notes)


def _own(need: Need) -> list[str]:
    import io
    import zipfile

    if not need.sources:
        return []
    with zipfile.ZipFile(io.BytesIO(need.sources)) as archive:
        return archive.namelist()


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _progress(text: str) -> None:
    print(f"{text} …", file=sys.stderr)
