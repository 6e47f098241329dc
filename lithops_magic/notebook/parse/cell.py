"""Converts the text of a cell to the function that is mapped."""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lithops_magic.notebook.parse.names import read_names
from lithops_magic.notebook.parse.similar import similar
from lithops_magic.notebook.parse.undefined import undefined
from lithops_magic.notebook.parse.usage_error import UsageError
from lithops_magic.worker.cell import FILE, ITEM, READS, VALUE

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

Function = Callable[..., Any]
_T = TypeVar("_T", bound=ast.AST)

_NAME = "<cell>"
_AROUND = """
{0}def cell(item, *, body):
    __tracebackhide__ = True
    names = body.__globals__
    names[{1!r}] = item
    {2}body()
    return names.pop({3!r}, None)
"""


def _around(define: str, call: str) -> types.CodeType:
    """Compile the code that calls a cell; it is pickled with the cell, so it must not be part of a module."""
    made = compile(_AROUND.format(define, ITEM, call, VALUE), FILE, "exec")
    return next(const for const in made.co_consts if isinstance(const, types.CodeType))


_CALLED, _AWAITED = _around("", ""), _around("async ", "await ")


class CellSyntaxError(Exception):
    """The cell is not valid Python; shown as Python would, without our frames."""

    def __init__(self, error: SyntaxError, lines: list[str]) -> None:
        super().__init__(str(error))
        self._lines = lines

    def _render_traceback_(self) -> list[str]:
        # As one string, because some `%xmode` settings do not add line breaks.
        return ["\n".join(line.rstrip("\n") for line in self._lines)]


@dataclass(frozen=True)
class Mapped:
    """A function to map, with notes for the user."""

    function: Function
    label: str
    note: str = ""


def expression_form(
    shell: InteractiveShell, first: str, cell: str, target: str | None, names: Mapping[str, Any] | None = None
) -> Mapped:
    """Make the cell a function of an item: `target` is assigned, the body runs, its last expression is returned.

    The body runs as module-level code, as in a notebook: notebook functions see the names it assigns.

    Parameters
    ----------
    first
        The cell's first line, which the user sees above `cell`.
    target
        None: the cell does not use the item.
    names
        The variables available to the cell; by default, the notebook's.

    Raises
    ------
    CellSyntaxError
        The body is not valid Python.
    UsageError
        The body uses notebook syntax such as `!ls`, or an undefined name.
    """
    source = _Source(shell, first, cell)
    tree = source.parse()
    source.refuse_undefined(tree, target, names)
    note = "" if isinstance(tree.body[-1], ast.Expr) else _no_value(tree.body[-1], each=target is not None)
    statements = _statements(tree.body, target)
    code = source.compile(ast.Module(statements, []), ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    # Module-level code made callable: its names are globals of the notebook, so that functions of the notebook see what
    # the cell assigns.
    body = types.FunctionType(code, shell.user_ns, "<module>")
    # Only these of the notebook's globals are pickled with it; the compiler's own list of names holds the assigned
    # ones, too.
    vars(body)[READS] = tuple(sorted(read_names(statements) - {ITEM}))
    around = _AWAITED if code.co_flags & inspect.CO_COROUTINE else _CALLED
    function = types.FunctionType(around, shell.user_ns, _NAME)
    # A global would be a name of the notebook's, and `around`, compiled at module level, has no closure.
    function.__kwdefaults__ = {"body": body}
    return Mapped(function, source.label, note)


def function_form(shell: InteractiveShell, first: str, cell: str) -> Mapped:
    """Run the cell in the notebook, and map the function that its last statement defines.

    Raises
    ------
    CellSyntaxError
        The cell is not valid Python.
    UsageError
        The cell does not end with a function.
    """
    __tracebackhide__ = True
    source = _Source(shell, first, cell)
    tree = source.parse()
    last = tree.body[-1]
    if not isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef):
        raise UsageError(
            f"without `in`, the cell must end with the function to map over `{first.partition(' ')[2].strip()}`; "
            "to compute an expression for each item write `%%lambda_map x in ITEMS`"
        )
    # As IPython runs cells: in an embedded shell, globals and variables differ.
    exec(source.compile(tree), shell.user_global_ns, shell.user_ns)
    function = shell.user_ns[last.name]
    if not callable(function):
        raise UsageError(
            f"`{last.name}` is not a function after its decorators (it is of type {type(function).__name__})"
        )
    return Mapped(function, last.name)


class _Source:
    """The text of a cell, registered so that local and remote tracebacks show its lines under the cell's name."""

    def __init__(self, shell: InteractiveShell, first: str, cell: str) -> None:
        self._shell = shell
        self._offset = first.count("\n") + 1
        self._cell = cell
        self._text = f"{first}\n{cell}"
        # IPython shows the failing line only if it can parse the source, and a magic is not Python.
        python = "".join(f"#{line}\n" for line in first.split("\n")) + cell
        self._name = shell.compile.cache(python, cell_number(shell), raw_code=self._text)

    @property
    def label(self) -> str:
        """The notebook's name for this cell, for example `Cell In[6]`."""
        return code_name(self._shell, self._name)

    def parse(self) -> ast.Module:
        """Parse the body; line numbers are those of the whole cell."""
        try:
            tree = ast.parse("\n" * self._offset + self._cell, self._name)
        except SyntaxError as error:
            self._refuse_notebook_syntax(error.lineno or 0)
            failure = self._failure(error)
        else:
            if tree.body:
                return tree
            only = "has only comments" if self._cell.strip() else "is empty"
            raise UsageError(f"the cell {only}: write what to compute below the first line")
        # Raised outside the handler, so that the SyntaxError is not shown as this one's context.
        raise failure

    def refuse_undefined(self, tree: ast.Module, target: str | None, names: Mapping[str, Any] | None) -> None:
        """Raise UsageError if every task would fail with a NameError."""
        visible = self._shell.user_ns if names is None else names
        name = undefined(tree.body, target, visible)
        if name is not None:
            close = similar(name.id, visible)
            raise UsageError(
                f"line {name.lineno}: `{name.id}` is defined neither in the notebook nor in the cell{close}"
            )

    def compile(self, tree: ast.Module, flags: int = 0) -> types.CodeType:
        """Compile `tree` under the cell's name, with the notebook's `from __future__` imports."""
        failure: CellSyntaxError
        try:
            # True is dont_inherit: this module's own `from __future__` import must not apply to the cell.
            code: types.CodeType = compile(
                ast.fix_missing_locations(tree), self._name, "exec", flags | self._shell.compile.flags, True
            )
            return code
        except SyntaxError as error:
            failure = self._failure(error)
        raise failure

    def _failure(self, error: SyntaxError) -> CellSyntaxError:
        if error.msg == "'return' outside function":
            error.msg += ": the value of the cell's last line is what a task returns"
        lines = self._shell.SyntaxTB.structured_traceback(type(error), error, None)
        return CellSyntaxError(error, lines)

    def _refuse_notebook_syntax(self, number: int) -> None:
        rows = self._text.splitlines()
        row = rows[number - 1].strip() if 0 < number <= len(rows) else ""
        # IPython rewrites its own syntax to calls of `get_ipython()`.
        transformed = self._shell.transform_cell(row)  # type: ignore[no-untyped-call]
        if "get_ipython()" in transformed and "get_ipython()" not in row:
            raise UsageError(
                f"line {number}: `{row}` is notebook syntax; a cell that runs on Lambda must be plain Python"
            )


def cell_number(shell: InteractiveShell) -> int:
    """Return the N of the running cell, `In[N]`."""
    # Depending on its version, IPython increments the counter before or after a cell runs.
    running = getattr(shell.displayhook, "exec_result", None)
    return getattr(running, "execution_count", None) or shell.execution_count


def code_name(shell: InteractiveShell, filename: str) -> str:
    """Return the notebook's name for a code file, for example `Cell In[6]`; other files keep their name."""
    named = shell.compile.format_code_name(filename)
    return " ".join(named) if named else filename


def _at_line_one(node: _T) -> _T:
    for part in ast.walk(node):
        if hasattr(part, "lineno"):
            # The first line is where the user sees the target; a failed unpacking is reported there.
            vars(part).update(lineno=1, end_lineno=1, col_offset=0, end_col_offset=0)
    return node


def _assignment(target: str) -> ast.stmt:
    # A `for` loop's target is what Python allows there: names, attributes, nested and starred tuples.
    loop = ast.parse(f"for {target} in (): pass").body[0]
    assert isinstance(loop, ast.For)
    return _at_line_one(ast.Assign([loop.target], ast.Name(ITEM, ast.Load()), lineno=1))


def _statements(body: list[ast.stmt], target: str | None) -> list[ast.stmt]:
    """Return the cell's statements, with the target assigned first and the last value stored."""
    # `from __future__` must come first in a module, also before the assignment of the target.
    start = next((n for n, one in enumerate(body) if not _stands_first(one)), len(body))
    first = [] if target is None else [_assignment(target)]
    statements = [*body[:start], *first, *body[start:]]
    last = statements[-1]
    if isinstance(last, ast.Expr) and last is body[-1]:
        statements[-1] = ast.copy_location(ast.Assign([ast.Name(VALUE, ast.Store())], last.value), last)
    return statements


def _stands_first(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _no_value(last: ast.stmt, *, each: bool) -> str:
    note = f"the cell's last line is not an expression, so {'every result' if each else 'its value'} is None"
    if isinstance(last, ast.Assign | ast.AugAssign | ast.AnnAssign):
        target = last.targets[0] if isinstance(last, ast.Assign) else last.target
        note += f"; add a line `{ast.unparse(target)}` to get it back"
    return note
