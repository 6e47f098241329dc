"""The magics: `%%lambda_map`, `%lambda_map`, `%lambda_status`, `%lambda_clean`."""

from __future__ import annotations

import builtins
import difflib
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.displayhook import DisplayHook
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.page import page
from traitlets import Bool, Enum, Int, Unicode

from lithops_magic.notebook import grammar, options
from lithops_magic.notebook.cell import Mapped, cell_number, expression_form, function_form
from lithops_magic.notebook.grammar import MapLine
from lithops_magic.notebook.help import CLEAN_HELP, STATUS_HELP, help_text
from lithops_magic.notebook.options import Options
from lithops_magic.notebook.session import Session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from lithops_magic.config import Settings
    from lithops_magic.engine import MapOptions, MapResult


def _number(allowed: options.Range, what: str) -> Int[int | None, int | None]:
    return Int(None, min=allowed.low, max=allowed.high, allow_none=True, help=f"{what}; {allowed}.").tag(config=True)


@magics_class
class LambdaMagics(Magics):
    """Session defaults of the magics; None leaves a choice to the configuration file."""

    shell: InteractiveShell

    memory = _number(options.MEMORY, "Memory of each Lambda")
    timeout = _number(options.TIMEOUT, "Longest time one task may run")
    chunksize = _number(options.COUNT, "Items sent in one invocation")
    workers = _number(options.COUNT, "Most Lambdas running at the same time")
    retries = _number(options.RETRIES, "How often a task is sent again when its Lambda was lost")
    errors = Enum(options.ERRORS, "raise", help="Raise grouped errors at the end, or keep them in the result.").tag(
        config=True
    )
    packages = Unicode(
        None, allow_none=True, help="Packages to ship beside those that are seen to be used; none ships no packages."
    ).tag(config=True)
    profile = Unicode(None, allow_none=True, help="AWS profile to use.").tag(config=True)
    local = Bool(False, help="Use the local AWS on this machine, whatever is configured.").tag(config=True)
    progress = Bool(True, help="Show progress and a summary.").tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.from_profile: Config | None = None
        self.session = Session()
        self._jobs: list[weakref.ref[MapResult]] = []

    @no_var_expand
    @line_cell_magic
    def lambda_map(self, line: str, cell: str | None = None) -> MapResult | None:
        __tracebackhide__ = True
        while cell is not None and line.endswith("\\"):
            continued, _, cell = cell.partition("\n")
            line = f"{line}\n{continued}"
        asked = grammar.magic_line(line) if cell is None else grammar.cell_line(line)
        if asked.options.help:
            page(help_text())
            return None
        return self._map(asked, line, cell)

    lambda_map.__doc__ = help_text()

    @no_var_expand
    @line_magic
    def lambda_status(self, line: str) -> None:
        from lithops_magic.notebook.status import show, status

        given = self._management(line, "lambda_status")
        if given is not None:
            show(status(self._settings(given), self.jobs()))

    lambda_status.__doc__ = STATUS_HELP

    @no_var_expand
    @line_magic
    def lambda_clean(self, line: str) -> None:
        from lithops_magic.notebook.status import clean, show

        given = self._management(line, "lambda_clean")
        if given is not None:
            show(clean(self._settings(given)))

    lambda_clean.__doc__ = CLEAN_HELP

    def jobs(self) -> list[MapResult]:
        """Return the results of this session that are still referenced, oldest first."""
        return [job for reference in self._jobs if (job := reference()) is not None]

    def _map(self, asked: MapLine, line: str, cell: str | None) -> MapResult | None:
        # The engine is loaded on first use: loading the extension must not slow a notebook's start.
        from lithops_magic.notebook.run import Job, follow, start

        __tracebackhide__ = True
        items = self._items(asked.items)
        mapped = self._mapped(asked, line, cell)
        given = asked.options
        job = Job(
            function=mapped.function,
            items=items,
            options=self._options(given, mapped.label),
            settings=self._settings(given),
            out=given.out,
            background=given.background,
            progress=self.progress and not given.quiet,
            notes=(mapped.note,) if mapped.note else (),
        )
        result = start(self.shell, job)
        self._jobs.append(weakref.ref(result))
        follow(self.shell, job, result)
        return None if given.out or _silenced(line, cell) else result

    def _mapped(self, asked: MapLine, line: str, cell: str | None) -> Mapped:
        __tracebackhide__ = True
        if cell is None:
            function = self._evaluate(asked.function or "", "FUNCTION")
            if not callable(function):
                raise UsageError(
                    f"FUNCTION: `{asked.function}` is no function (it is of type {type(function).__name__})"
                )
            return Mapped(function, getattr(function, "__name__", asked.function or ""))
        if asked.target is None:
            return function_form(self.shell, line, cell)
        return expression_form(self.shell, line, cell, asked.target)

    def _items(self, source: str) -> Iterable[Any]:
        __tracebackhide__ = True
        items = self._evaluate(source, "ITEMS")
        try:
            iter(items)
        except TypeError:
            problem = f"ITEMS: `{source}` is not iterable (it is of type {type(items).__name__})"
        else:
            return items  # type: ignore[no-any-return]
        raise UsageError(problem)

    def _evaluate(self, source: str, what: str) -> Any:
        """Evaluate the user's expression once; what it cannot find or parse becomes one line."""
        __tracebackhide__ = True
        shell = self.shell
        name = shell.compile.cache(source, cell_number(shell))
        try:
            code = compile(source, name, "eval", shell.compile.flags, True)
            return eval(code, shell.user_global_ns, shell.user_ns)
        except NameError as error:
            if _is_deeper(error):
                raise
            flag = grammar.unknown_flag(source, error.name)
            problem = f"{what}: {_missing(error, shell.user_ns)}"
            if flag is not None:
                problem = f"unknown option {flag}{options.closest(flag)}"
        except SyntaxError as error:
            if _is_deeper(error):
                raise
            problem = f"{what}: `{source}` cannot be used here: {error.msg}"
        raise UsageError(problem)

    def _options(self, given: Options, label: str) -> MapOptions:
        from lithops_magic.engine import MapOptions

        fields = ("memory", "timeout", "chunksize", "workers", "retries", "errors", "packages")
        chosen = {field: getattr(given, field) or getattr(self, field) for field in fields}
        if given.retries is not None:
            chosen["retries"] = given.retries
        return MapOptions(label=label, **{field: value for field, value in chosen.items() if value is not None})

    def _settings(self, given: Options) -> Settings:
        local = True if given.local or self.local else None
        return self.session.load(local=local, profile=given.profile or self.profile)

    def _management(self, line: str, name: str) -> Options | None:
        """Parse a line that takes no expression and only says which AWS; None after its help was shown."""
        rest, given = grammar.split_options(line)
        if given.help:
            page(getattr(self, name).__doc__)
            return None
        if rest or given != Options(local=given.local, profile=given.profile):
            raise UsageError(f"%{name} takes only --local and --profile NAME")
        return given


def _silenced(line: str, cell: str | None) -> bool:
    # IPython's own @output_can_be_silenced fails on a line that is continued into the cell.
    if cell is None:
        return line.rstrip().endswith(";")
    return DisplayHook.semicolon_at_end_of_expression(cell)  # type: ignore[no-any-return, no-untyped-call]


def _is_deeper(error: Exception) -> bool:
    """Whether `error` was raised by code the expression called, not by the expression itself."""
    here = error.__traceback__
    return here is not None and here.tb_next is not None and here.tb_next.tb_next is not None


def _missing(error: NameError, namespace: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(error.name or "", [*namespace, *vars(builtins)], n=1)
    return f"{error}; did you mean `{close[0]}`?" if close else str(error)
