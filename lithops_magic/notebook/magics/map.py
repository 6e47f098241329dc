"""The magics that run code on Lambda: `%%lambda_map`, `%lambda_map` and `%%lambda_call`."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    cell_magic,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from IPython.core.page import page

from lithops_magic.errors import TaskError, facts
from lithops_magic.notebook.magics.defaults import LambdaDefaults
from lithops_magic.notebook.magics.help import CALL_HELP, MAP_HELP, TUNE_HELP
from lithops_magic.notebook.parse import flags, grammar, options
from lithops_magic.notebook.parse.about import about
from lithops_magic.notebook.parse.cell import Mapped, code_name, expression_form, function_form
from lithops_magic.notebook.parse.evaluate import evaluate_function, evaluate_items
from lithops_magic.notebook.parse.first_line import continued, is_silenced
from lithops_magic.notebook.parse.grammar import MapLine
from lithops_magic.notebook.parse.line_options import options_only
from lithops_magic.notebook.parse.options import Options
from lithops_magic.notebook.session import Session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from lithops_magic.config import Settings
    from lithops_magic.engine import MapOptions, MapResult
    from lithops_magic.engine.tune.tuning import Tuning
    from lithops_magic.notebook.display.run_job import View


@magics_class
class LambdaMagics(LambdaDefaults):
    """Runs a cell or a function on Lambda, with the session's defaults."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.from_profile: Config | None = None
        self.session = Session()
        self.tuning: Tuning | None = None
        """The latest measurement."""
        self._told: set[str] = set()
        """Notes that an earlier job has shown; each is shown once per session."""
        self._jobs: list[weakref.ref[MapResult]] = []

    # IPython would expand `{x}` and `$x` anywhere in the line, in the dictionaries and f-strings of the items, too;
    # `parse.expand` does so in the values of options only.
    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def lambda_map(
        self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None
    ) -> MapResult | None:
        __tracebackhide__ = True
        if cell is not None:
            line, cell = continued(line, cell)
        names = self._names(local_ns)
        visible = self.shell.user_ns if names is None else names
        asked = grammar.magic_line(line, visible) if cell is None else grammar.cell_line(line, visible)
        given = asked.options
        if given.help:
            page(MAP_HELP)
            return None
        # Before the cell's own code runs in the function form, which may change the variables that the items name.
        items = evaluate_items(self.shell, asked.items, names)
        reduce = evaluate_function(self.shell, given.reduce, "--reduce", names) if given.reduce else None
        mapped = self._mapped(asked, line, cell, names)
        code = asked.function or "" if cell is None else cell
        hidden = bool(given.out) or is_silenced(line, cell)
        # `x = %lambda_map …` may assign the value of a line magic, so only a cell's value is sure to be displayed.
        shows = cell is not None and not hidden
        result = self._run(given, mapped, items, out=given.out, code=code, reduce=reduce, shows=shows)
        return None if hidden else result

    lambda_map.__doc__ = MAP_HELP

    @no_var_expand
    @cell_magic
    def lambda_call(self, line: str, cell: str) -> Any:
        from lithops_magic.notebook.display.figures import can_be_shown

        __tracebackhide__ = True
        line, cell = continued(line, cell)
        given = options_only(line, options.CALL, "%%lambda_call", self.shell.user_ns)
        if given.help:
            page(CALL_HELP)
            return None
        # A single task leaves nothing else to keep, so its error is raised whatever the session's default.
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
        """Add `result` to the jobs of this session for as long as it is referenced."""
        # Weakly, since results may be large: what the user drops must be freed.
        self._jobs.append(weakref.ref(result))

    def settings(self, given: Options) -> Settings:
        """Return the settings for the next run: the configuration, overridden by session defaults and options."""
        local = True if given.local or self.local else None
        return self.session.load(local=local, profile=given.profile or self.profile)

    def usual(self) -> Settings:
        """Return the settings for a run without options."""
        return self.settings(Options())

    def view(self, given: Options, *notes: str, out: str | None) -> View:
        """Return how to show a job."""
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
        # Imported on first use: loading the extension must not slow down a notebook's start.
        from lithops_magic import data, engine
        from lithops_magic.notebook.display.dry_run import preview
        from lithops_magic.notebook.display.run_job import run

        __tracebackhide__ = True
        settings = self.settings(given)
        # `s3(...)` on the line must see S3 with this run's --profile or --local, not with the session's defaults.
        items = data.bound(items, settings)
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
        """Measure instead of running, and write the choice into the cell if requested."""
        from lithops_magic.notebook.display import tune

        __tracebackhide__ = True
        self.tuning = tune.measure(
            self.shell,
            function,
            items,
            # Not the session's limit, which applies to whole jobs.
            options=replace(chosen, max_cost=given.max_cost),
            settings=settings,
            progress=self.progress and not given.quiet,
            name_code=partial(code_name, self.shell),
        )
        if given.tune and given.tune != flags.TABLE:
            tune.choose(self.shell, self.tuning, given.tune)

    @no_var_expand
    @needs_local_scope
    @line_magic
    def lambda_tune(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        from lithops_magic import data

        __tracebackhide__ = True
        names = self._names(local_ns)
        visible = self.shell.user_ns if names is None else names
        asked = grammar.magic_line(line, visible, options.TUNE, "%lambda_tune")
        given = asked.options
        if given.help:
            page(TUNE_HELP)
            return
        if asked.function is not None:
            items = data.bound(evaluate_items(self.shell, asked.items, names), self.settings(given))
            mapped = self._mapped(asked, line, None, names)
            chosen = self._options(given, mapped.label, about(self.shell, asked.function))
            self._tune(given, mapped.function, items, chosen, self.settings(given))
        if given.save:
            from lithops_magic.notebook.form.tuned import save

            save(self.tuning, given.save, self.session)

    lambda_tune.__doc__ = TUNE_HELP

    def _names(self, local: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return the variables of the function that called the magic, plus the notebook's; None if a cell called it."""
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
            # A switch that is not given is False, and leaves the choice to the session's default.
            name: value if (value := getattr(given, name)) is not None and value is not False else getattr(self, name)
            for name in options.ENGINE
        }
        chosen |= {
            "env": tuple({**self.env, **dict(given.env)}.items()),
            "files": given.files or None,
            "reduce_by": given.reduce_by,
            "to_s3": given.to_s3,
            "detach": given.detach,
            "label": label,
            "about": started,
        }
        return MapOptions(**{name: value for name, value in chosen.items() if value is not None})


def _print(log: str) -> None:
    """Print a task's log, so that it appears where the cell's own output would."""
    if log:
        print(log, end="" if log.endswith("\n") else "\n")  # noqa: T201
