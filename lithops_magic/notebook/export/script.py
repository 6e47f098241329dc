"""A notebook as a plain Python script: mapped cells become functions, and magics become `lithops_magic.map` calls."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from IPython.core.inputtransformer2 import TransformerManager

from lithops_magic.notebook.display.run_job import LAST
from lithops_magic.notebook.export.calls import Defaults, call, statement
from lithops_magic.notebook.export.layout import comment, indent, replace
from lithops_magic.notebook.export.syntax import Magic, awaits, find_magic, names, parse
from lithops_magic.notebook.parse import grammar
from lithops_magic.notebook.parse.line_options import split_options
from lithops_magic.notebook.parse.names import assigned_names, notebook_names
from lithops_magic.notebook.parse.usage_error import UsageError

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from lithops_magic.notebook.parse.options import Options

_CELL_MAGIC = re.compile(r"%%(\w+)[ \t]*(.*)\n?")
_TRANSPARENT = frozenset({"time", "capture"})
"""Magics whose body gives the same values as plain Python."""
_EXTENSION = frozenset({"load_ext", "reload_ext", "unload_ext"})


@dataclass
class Script:
    """A script's text, and what it lacks compared to the notebook."""

    text: str
    left_out: list[str] = field(default_factory=list)


def to_script(book: NotebookNode, name: str) -> Script:
    """Convert a notebook to a script that gives the same values.

    Raises
    ------
    UsageError
        A cell uses the value of notebook-only syntax, such as `files = !ls`.
    """
    writer = _Writer({part for cell in book.cells for part in re.findall(r"\w+", cell.source)})
    parts = [writer.write(cell) for cell in book.cells]
    body = "\n\n".join(part for part in parts if part)
    heads = [f"# Written by %lambda_export from {name}", *sorted(writer.futures), *sorted(writer.imports)]
    return Script("\n".join(heads) + f"\n\n{body}\n", writer.left_out)


class _Writer:
    """Writes cell after cell, and remembers what later ones need."""

    def __init__(self, words: set[str]) -> None:
        self.imports: set[str] = set()
        self.futures: set[str] = set()
        self.left_out: list[str] = []
        self._taken = words
        self._bound: set[str] = set()
        self._defaults = Defaults()
        self._transform = TransformerManager().transform_cell  # type: ignore[no-untyped-call]
        self._cell = ""
        self._number = 0
        self._fails = False

    def write(self, cell: NotebookNode) -> str:
        if cell.cell_type != "code":
            return comment(cell.source) if cell.cell_type == "markdown" else ""
        self._number += 1
        self._cell = f"cell {cell.execution_count or self._number}"
        errors = any(output.output_type == "error" for output in cell.outputs)
        self._fails = errors or "raises-exception" in cell.metadata.get("tags", ())
        try:
            return self._code(cell.source.strip("\n")).strip("\n")
        except UsageError as error:
            if self._fails:
                return self._leave_out(cell.source)
            problem = f"{self._cell}: {error}"
        raise UsageError(problem)

    def _code(self, source: str) -> str:
        magic = _CELL_MAGIC.match(source)
        if magic is None:
            return self._plain(source)
        name, line, body = magic[1], magic[2], source[magic.end() :]
        while line.endswith("\\"):
            more, _, body = body.partition("\n")
            line = f"{line}\n{more}"
        if name == "lambda_map":
            return self._mapped(line, body)
        if name == "lambda_call":
            return self._called(line, body)
        if name in _TRANSPARENT:
            return self._code(body)
        return self._leave_out(source)

    def _mapped(self, line: str, body: str) -> str:
        asked = grammar.cell_line(line)
        if not _runs(asked.options):
            return self._leave_out(f"%%lambda_map {line}\n{body}")
        if asked.target is not None:
            return self._function(asked.target, body, asked.items, asked.options)
        tree = parse(body)
        function = tree.body[-1]
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            raise UsageError("without `in`, the cell must end with the function to map")
        self._bound |= assigned_names(tree.body)
        items, before = asked.items, ""
        if assigned_names(tree.body) & names(items):
            # The magic evaluates the items before the cell can change the variables in them.
            items = self._free(f"{asked.options.out or 'cell'}_items")
            before = f"{items} = {asked.items}\n\n\n"
        return f"{before}{body.rstrip()}\n\n\n{self._run(function.name, items, asked.options)}"

    def _called(self, line: str, body: str) -> str:
        _, options = split_options(line)
        return self._function(None, body, "[None]", options)

    def _function(self, target: str | None, body: str, items: str, options: Options) -> str:
        """Write a function equivalent to the one that the magic makes of a cell, and its call."""
        tree = parse(body)
        assigned = ast.parse(f"for {target or '_'} in (): pass").body[0]
        assert isinstance(assigned, ast.For)
        first = ast.Assign([assigned.target], ast.Name(".item", ast.Load()))
        # In a function these would be unassigned locals: as defaults of keyword-only parameters they start with the
        # notebook's values.
        early = sorted(notebook_names([first, *tree.body]) & self._bound)
        name = self._free(f"{options.out or 'cell'}_task")
        simple = target is None or target.isidentifier()
        item = (target or "_") if simple else self._free("item")
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            body = replace(body, [(last, f"return {ast.get_source_segment(body, last)}")])
        body = body.rstrip() if simple else f"{target} = {item}\n{body.rstrip()}"
        parameters = ", ".join([item, *(["*"] if early else []), *(f"{name}={name}" for name in early)])
        define = "async def" if awaits(tree) else "def"
        # `lambda_call` binds the value itself.
        run = self._run(name, items, options, index="" if target else "[0]")
        return f"{define} {name}({parameters}):\n{indent(body)}\n\n\n{run}"

    def _run(self, function: str, items: str, options: Options, index: str = "") -> str:
        self.imports.add("import lithops_magic")
        self._import_s3(items)
        self._bound.add(options.out or "")
        arguments = self._defaults.arguments(options)
        if options.background and not self._fails:
            arguments.append("background=True")
            index = ""
        called = call(function, items, arguments)
        # `_lambda`, too, if a later cell may use it.
        targets = tuple(filter(None, (options.out, LAST if not options.out or LAST in self._taken else None)))
        if index:
            text = f"{targets[0]} = {called}{index}"
            return _tried(text) if self._fails else text
        return statement(targets, called, fails=self._fails)

    def _plain(self, source: str) -> str:
        text = self._transform(source).rstrip("\n")
        tree = parse(text, empty=True)
        # A magic that is a statement of its own can be left out; one whose value is used cannot.
        alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        changes = [
            (node, _placed(self._line(magic, alone=id(node) in alone), node.col_offset))
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and (magic := find_magic(node)) is not None
        ]
        has_map = any("lithops_magic.map" in new for _, new in changes)
        text = self._without_futures(replace(text, changes))
        tree = parse(text, empty=True)
        self._bound |= assigned_names(tree.body)
        if "display" in names(text) - self._bound:
            self.imports.add("from IPython.display import display")
        self._import_s3(text)
        if awaits(tree):
            text = self._awaited(text, tree)
        # The call of a job that fails catches its error already (`calls.statement`).
        return _tried(text) if self._fails and not has_map and tree.body else text

    def _import_s3(self, text: str) -> None:
        """Import what a notebook can use without an import, unless it has defined the name itself."""
        if "s3" in names(text) - self._bound:
            self.imports.add("from lithops_magic import s3")

    def _line(self, magic: Magic, *, alone: bool) -> str:
        """Return the Python for a line magic or shell command; a comment or nothing if there is no equivalent."""
        if magic.name == "lambda_map":
            asked = grammar.magic_line(magic.line)
            if _runs(asked.options):
                return self._run(asked.function or "", asked.items, asked.options)
        if not alone:
            raise UsageError(f"the value of `{magic.text}` exists only in a notebook; write it in plain Python")
        if magic.name in _TRANSPARENT:
            return magic.line
        ours = magic.name in _EXTENSION and magic.line.strip() == "lithops_magic"
        if ours or (magic.name == "config" and self._defaults.configure(magic.line)):
            return ""
        return self._leave_out(magic.text)

    def _leave_out(self, source: str) -> str:
        self.left_out.append(f"{source.partition(chr(10))[0].strip()} ({self._cell})")
        return comment(source)

    def _without_futures(self, text: str) -> str:
        """Remove `from __future__` imports, which belong at the beginning of a file."""
        found = [node for node in parse(text, empty=True).body if getattr(node, "module", None) == "__future__"]
        self.futures.update(ast.unparse(node) for node in found)
        # A semicolon may follow, which needs a statement before it.
        return replace(text, [(node, "pass") for node in found]).removeprefix("pass\n")

    def _awaited(self, text: str, tree: ast.Module) -> str:
        """Wrap a cell that awaits in a coroutine; names it assigns remain global."""
        self.imports.add("import asyncio")
        name = self._free("cell_coroutine")
        shared = ", ".join(sorted(assigned_names(tree.body)))
        declared = f"    global {shared}\n" if shared else ""
        return f"async def {name}():\n{declared}{indent(text)}\n\n\nasyncio.run({name}())"

    def _free(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _runs(options: Options) -> bool:
    """Whether a line runs a job, as opposed to displaying something about it."""
    return not (options.help or options.dry_run or options.tune)


def _placed(text: str, column: int) -> str:
    """Indent `text` for a statement at `column`."""
    if not column:
        return text
    lines = text if text and not text.startswith("#") else f"pass  {text}".rstrip()
    return lines.replace("\n", "\n" + " " * column)


def _tried(text: str) -> str:
    """Make a script continue after an error, as the notebook did."""
    return (
        f'try:\n{indent(text)}\nexcept Exception as _failure:\n    print(f"{{type(_failure).__name__}}: {{_failure}}")'
    )
