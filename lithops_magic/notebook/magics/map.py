"""The magics that run something: `%%lambda_map`, `%lambda_map` and `%%lambda_call`."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.displayhook import DisplayHook
from IPython.core.magic import (
    Magics,
    cell_magic,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from IPython.core.page import page
from traitlets import Bool, Dict, Enum, Float, Int, TraitError, Unicode, Union, validate

from lithops_magic.config import limits
from lithops_magic.config.lifetime import LIFETIME, parse_lifetime
from lithops_magic.errors import TaskError, facts
from lithops_magic.notebook.magics.help import CALL_HELP, MAP_HELP, TUNE_HELP
from lithops_magic.notebook.parse import grammar, option_values, options
from lithops_magic.notebook.parse.about import about
from lithops_magic.notebook.parse.cell import Mapped, code_name, expression_form, function_form
from lithops_magic.notebook.parse.evaluate import evaluate_function, evaluate_items
from lithops_magic.notebook.parse.grammar import MapLine
from lithops_magic.notebook.parse.options import Options
from lithops_magic.notebook.session import Session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from lithops_magic.config import Settings
    from lithops_magic.engine import MapOptions, MapResult
    from lithops_magic.engine.tune.tuning import Tuning
    from lithops_magic.notebook.display.run_job import View


def _number(allowed: limits.Range, what: str) -> Int[int | None, int | None]:
    return Int(None, min=allowed.low, max=allowed.high, allow_none=True, help=f"{what}; {allowed}.").tag(config=True)


def _text(what: str) -> Unicode[str | None, str | bytes | None]:
    return Unicode(None, allow_none=True, help=what).tag(config=True)


def _switch(default: bool, what: str) -> Bool[bool, bool | int]:
    return Bool(default, help=what).tag(config=True)


@magics_class
class LambdaMagics(Magics):
    """Session defaults of the magics; None leaves a choice to the configuration file."""

    shell: InteractiveShell

    memory = _number(limits.MEMORY, "Memory of the function")
    timeout = _number(limits.TIMEOUT, "Longest time one task may run")
    tmp = _number(limits.TMP, "Size of /tmp")
    env = Dict(value_trait=Unicode(), key_trait=Unicode(), help="Environment variables of the tasks.").tag(config=True)
    packages = _text("Packages to ship besides those that the code imports; none ships no packages.")
    chunksize = _number(limits.COUNT, "Items sent in one invocation")
    workers = _number(limits.COUNT, "Most invocations at the same time")
    retries = _number(limits.RETRIES, "Retries of a task whose sandbox crashed or was lost")
    retry_errors = _switch(False, "Also retry tasks that raised an exception.")
    retry_memory = Float(
        None, allow_none=True, help="Factor by which a task that ran out of memory gets more at its next attempt."
    ).tag(config=True)
    backups = _switch(False, "Run a second copy of tasks that take far longer than others.")
    errors = Enum(options.ERRORS, "raise", help="Raise the grouped errors at the end, or only keep them.").tag(
        config=True
    )
    locals = _switch(False, "Show the local variables in tracebacks.")
    cache = Union(
        [Bool(), Unicode(), Float()],
        default_value=None,
        allow_none=True,
        help="Use values computed before, and keep new ones: True for 30 days, or a time such as '12h' or '90d'.",
    ).tag(config=True)
    max_cost = Float(None, allow_none=True, help="US dollars after which a job sends nothing more.").tag(config=True)
    profile = _text("AWS profile to use.")
    local = _switch(False, "Use the local AWS on this machine, whatever is configured.")
    progress = _switch(True, "Show progress and a summary.")
    timeline = _switch(True, "Show a picture of the sandboxes while a job of more than three seconds runs.")

    @validate("retry_memory", "max_cost")
    def _check_number(self, proposal: Any) -> float | None:
        name, value = proposal["trait"].name, proposal["value"]
        low, what = option_values.ABOVE[name]
        if value is not None and not low < value < float("inf"):
            raise TraitError(f"{name} must be {what}, not {value}")
        return value  # type: ignore[no-any-return]

    @validate("cache")
    def _check_cache(self, proposal: Any) -> Any:
        value = proposal["value"]
        try:
            if value is not None and not isinstance(value, bool):
                parse_lifetime(value)
        except ValueError:
            raise TraitError(f"cache must be {LIFETIME}, not {value!r}") from None
        return value

    @validate("env")
    def _check_env(self, proposal: Any) -> dict[str, str]:
        try:
            return dict(option_values.parse_pair(f"{name}={value}") for name, value in proposal["value"].items())
        except ValueError as error:
            raise TraitError(f"env must be names and values, not {error}") from None

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.from_profile: Config | None = None
        self.session = Session()
        self.tuning: Tuning | None = None
        """What was measured last."""
        self._told: set[str] = set()
        self._jobs: list[weakref.ref[MapResult]] = []

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def lambda_map(
        self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None
    ) -> MapResult | None:
        __tracebackhide__ = True
        if cell is not None:
            line, cell = _continued(line, cell)
        names = self._names(local_ns)
        known = self.shell.user_ns if names is None else names
        asked = grammar.magic_line(line, known) if cell is None else grammar.cell_line(line, known)
        given = asked.options
        if given.help:
            page(MAP_HELP)
            return None
        items = evaluate_items(self.shell, asked.items, names)
        reduce = evaluate_function(self.shell, given.reduce, "--reduce", names) if given.reduce else None
        mapped = self._mapped(asked, line, cell, names)
        code = asked.function or "" if cell is None else cell
        hidden = bool(given.out) or is_silenced(line, cell)
        # Of a line magic, the value may go into a variable instead of the output.
        shows = cell is not None and not hidden
        result = self._run(given, mapped, items, out=given.out, code=code, reduce=reduce, shows=shows)
        return None if hidden else result

    lambda_map.__doc__ = MAP_HELP

    @no_var_expand
    @cell_magic
    def lambda_call(self, line: str, cell: str) -> Any:
        from lithops_magic.notebook.display.figures import can_be_shown

        __tracebackhide__ = True
        line, cell = _continued(line, cell)
        given = grammar.options_only(line, options.CALL, "%%lambda_call", self.shell.user_ns)
        if given.help:
            page(CALL_HELP)
            return None
        # One failure is raised, whatever is usual for many.
        given = replace(given, errors="raise")
        called = expression_form(self.shell, f"%%lambda_call {line}", cell, None)
        goes_on = given.background or given.detach
        try:
            result = self._run(given, called, [None], out=given.out if goes_on else None, code=cell)
        except TaskError as error:
            _print(facts(error).log)
            raise
        if result is None:
            return None
        if not goes_on:
            _print(result.logs(0))
        value = result if goes_on else result[0]
        can_be_shown(self.shell, value)
        if given.out:
            self.shell.user_ns[given.out] = value
        return None if given.out or is_silenced(line, cell) else value

    lambda_call.__doc__ = CALL_HELP

    def jobs(self) -> list[MapResult]:
        """Return the results of this session that are still referenced, oldest first."""
        return [job for reference in self._jobs if (job := reference()) is not None]

    def remember(self, result: MapResult) -> None:
        """List `result` among the jobs of this session as long as somebody holds it."""
        self._jobs.append(weakref.ref(result))

    def settings(self, given: Options) -> Settings:
        """Return what the next run uses: what is configured, with the session's defaults and the line's options."""
        local = True if given.local or self.local else None
        return self.session.load(local=local, profile=given.profile or self.profile)

    def view(self, given: Options, *notes: str, out: str | None) -> View:
        """Return how a job is shown."""
        from lithops_magic.notebook.display.run_job import View

        return View(
            out=out,
            background=given.background or given.detach,
            progress=self.progress and not given.quiet,
            timeline=self.timeline,
            notes=tuple(note for note in notes if note),
            told=self._told,
        )

    def _run(
        self,
        given: Options,
        mapped: Mapped,
        items: Iterable[Any],
        *,
        out: str | None,
        code: str,
        reduce: Any = None,
        shows: bool = False,
    ) -> MapResult | None:
        # The engine is loaded on first use: loading the extension must not slow a notebook's start.
        from lithops_magic import engine
        from lithops_magic.notebook.display.dry_run import preview
        from lithops_magic.notebook.display.run_job import run

        __tracebackhide__ = True
        settings = self.settings(given)
        wanted = {
            "options": self._options(given, mapped.label, about(self.shell, code)),
            "settings": settings,
            "reduce": reduce,
        }
        if given.tune:
            self._tune(given, mapped.function, items, wanted["options"], settings)
            return None
        if given.dry_run:
            preview(mapped.function, items, **wanted)
            return None
        name_code = partial(code_name, self.shell)
        waits = not (given.background or given.detach)
        start = partial(engine.start, mapped.function, items, name_code=name_code, waits=waits, **wanted)
        view = replace(self.view(given, mapped.note, out=out), shows_result=shows)
        return run(self.shell, view, start, self.remember)

    def _tune(
        self, given: Options, function: Any, items: Iterable[Any], chosen: MapOptions, settings: Settings
    ) -> None:
        """Measure instead of running, and write a choice into the cell if it is asked for."""
        from lithops_magic.notebook.display import tune

        __tracebackhide__ = True
        self.tuning = tune.measure(
            self.shell,
            function,
            items,
            # Not the session's, which is for whole jobs.
            options=replace(chosen, max_cost=given.max_cost),
            settings=settings,
            progress=self.progress and not given.quiet,
            name_code=partial(code_name, self.shell),
        )
        if given.tune and given.tune != options.TABLE:
            tune.choose(self.shell, self.tuning, given.tune)

    @no_var_expand
    @needs_local_scope
    @line_magic
    def lambda_tune(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        __tracebackhide__ = True
        names = self._names(local_ns)
        known = self.shell.user_ns if names is None else names
        asked = grammar.magic_line(line, known, options.TUNE, "%lambda_tune")
        given = asked.options
        if given.help:
            page(TUNE_HELP)
            return
        if asked.function is not None:
            items = evaluate_items(self.shell, asked.items, names)
            mapped = self._mapped(asked, line, None, names)
            chosen = self._options(given, mapped.label, about(self.shell, asked.function))
            self._tune(given, mapped.function, items, chosen, self.settings(given))
        if given.save:
            from lithops_magic.notebook.form.tuned import save

            save(self.tuning, given.save, self.session)

    lambda_tune.__doc__ = TUNE_HELP

    def _names(self, local: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return the variables of the function that called the magic with the notebook's; None if a cell did."""
        if local is None or local is self.shell.user_ns:
            return None
        return {**self.shell.user_ns, **local}

    def _mapped(self, asked: MapLine, line: str, cell: str | None, names: dict[str, Any] | None) -> Mapped:
        __tracebackhide__ = True
        if cell is None:
            source = asked.function or ""
            function = evaluate_function(self.shell, source, "a function", names)
            return Mapped(function, getattr(function, "__name__", source))
        first = f"%%lambda_map {line}"
        if asked.target is None:
            return function_form(self.shell, first, cell)
        return expression_form(self.shell, first, cell, asked.target, names)

    def _options(self, given: Options, label: str, started: str) -> MapOptions:
        from lithops_magic.engine import MapOptions

        chosen = {
            name: value if (value := getattr(given, name)) is not None and value is not False else getattr(self, name)
            for name in options.ENGINE
        }
        chosen |= {
            "env": tuple({**self.env, **dict(given.env)}.items()),
            "files": given.files or None,
            "detach": given.detach,
            "label": label,
            "about": started,
        }
        return MapOptions(**{name: value for name, value in chosen.items() if value is not None})


def _continued(line: str, cell: str) -> tuple[str, str]:
    """Take the lines that continue a magic's first line out of its cell."""
    while line.endswith("\\"):
        more, _, cell = cell.partition("\n")
        line = f"{line}\n{more}"
    return line, cell


def _print(log: str) -> None:
    """Show what a cell printed where any cell's prints are shown."""
    if log:
        print(log, end="" if log.endswith("\n") else "\n")  # noqa: T201


def is_silenced(line: str, cell: str | None = None) -> bool:
    """Return whether the user ended the cell, or the line of a line magic, with a semicolon."""
    # IPython's own @output_can_be_silenced fails on a line that is continued into the cell.
    _, silent = grammar.bare(line)
    if cell is None or silent:
        return silent
    return DisplayHook.semicolon_at_end_of_expression(cell)  # type: ignore[no-any-return, no-untyped-call]
