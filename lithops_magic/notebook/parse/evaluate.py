"""Evaluates expressions on a magic's line, once, in the notebook's namespace; our frames never show."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from lithops_magic.notebook.parse.cell import cell_number
from lithops_magic.notebook.parse.line_options import refuse_unknown_flag
from lithops_magic.notebook.parse.similar import a, similar
from lithops_magic.notebook.parse.transform import AWAITED, awaits
from lithops_magic.notebook.parse.usage_error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def evaluate(shell: InteractiveShell, source: str, what: str, names: dict[str, Any] | None = None) -> Any:
    """Evaluate an expression; an undefined name or a syntax error becomes a one-line error.

    Parameters
    ----------
    what
        What the expression is used for.
    names
        Variables of the calling function, if any, plus the notebook's.

    Raises
    ------
    UsageError
        A name is undefined, or the expression cannot be used here.
    """
    __tracebackhide__ = True
    if awaits(source):
        return _awaited(shell, source)
    # So that a traceback into the expression shows its text.
    name = shell.compile.cache(source, cell_number(shell))
    missing = None
    try:
        code = compile(source, name, "eval", shell.compile.flags, True)
        # `names` as globals, because lambdas and comprehensions in the expression see no other locals than their own.
        return eval(code, shell.user_global_ns, shell.user_ns) if names is None else eval(code, names)
    except NameError as error:
        if _is_deeper(error):
            raise
        missing = error.name
        problem = f"`{error.name}` is not defined{similar(error.name or '', shell.user_ns)}"
    except SyntaxError as error:
        if _is_deeper(error):
            raise
        problem = f"`{source}` cannot be used as {what}: {error.msg}"
    if missing is not None:
        # `--quite` is valid Python, too: two minus signs before a name.
        refuse_unknown_flag(source, name=missing)
    raise UsageError(problem)


def evaluate_items(shell: InteractiveShell, source: str, names: dict[str, Any] | None = None) -> Iterable[Any]:
    """Evaluate ITEMS, which must be iterable."""
    __tracebackhide__ = True
    items = evaluate(shell, source, "the items", names)
    # Without iter(), which a `for` loop calls only once. Zero-dimensional arrays have __iter__ but cannot iterate.
    kind = type(items)
    if not (hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")) or getattr(items, "shape", None) == ():
        raise UsageError(f"`{source}` cannot be mapped over: it is {a(kind)}, not a sequence of items")
    return items  # type: ignore[no-any-return]


def evaluate_function(
    shell: InteractiveShell, source: str, what: str, names: dict[str, Any] | None = None
) -> Callable[..., Any]:
    """Evaluate an expression that must be something callable."""
    __tracebackhide__ = True
    function = evaluate(shell, source, what, names)
    if not callable(function):
        raise UsageError(f"`{source}` cannot be used as {what}: it is {a(type(function))}, not a function")
    return function  # type: ignore[no-any-return]


def _awaited(shell: InteractiveShell, source: str) -> Any:
    """Return the value that the cell itself awaited before calling the magic."""
    if AWAITED not in shell.user_ns:
        raise UsageError(
            f"`{source}` cannot be awaited here, only on the first line of a cell that begins with "
            "`%%lambda_map`; await it first: `items = await ...`"
        )
    # Removed at once: it may be large, and a later cell must not find it.
    return shell.user_ns.pop(AWAITED)


def _is_deeper(error: Exception) -> bool:
    """Whether `error` was raised by code that the expression called, not by the expression itself."""
    here = error.__traceback__
    # One entry for `evaluate` and one for the expression: any further one is the user's own code, whose error should be
    # seen as it is.
    return here is not None and here.tb_next is not None and here.tb_next.tb_next is not None
