"""The magics for jobs: `%lambda_status`, `%lambda_logs`, `%lambda_attach`, `%lambda_clean`, `%lambda_cache`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.core.page import page

from lithops_magic.notebook.magics.help import ATTACH_HELP, CACHE_HELP, CLEAN_HELP, LOGS_HELP, STATUS_HELP
from lithops_magic.notebook.parse import options
from lithops_magic.notebook.parse.about import notebook_name
from lithops_magic.notebook.parse.expand import expand
from lithops_magic.notebook.parse.first_line import is_silenced
from lithops_magic.notebook.parse.line_options import options_only, refuse_unknown_flag, split_options
from lithops_magic.notebook.parse.option import by_flag
from lithops_magic.notebook.parse.usage_error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.engine import MapResult
    from lithops_magic.engine.result.logs import LogLines
    from lithops_magic.notebook.magics.map import LambdaMagics


@magics_class
class JobMagics(Magics):
    """Looks at, and cleans up after, what the other magics ran."""

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell, magics: LambdaMagics) -> None:
        super().__init__(shell)
        self._magics = magics

    @no_var_expand
    @line_magic
    def lambda_status(self, line: str) -> None:
        from lithops_magic.notebook.display.status import show, status

        given = options_only(line, options.MANAGE, "%lambda_status", self.shell.user_ns)
        if given.help:
            page(STATUS_HELP)
        else:
            show(status(self._magics.settings(given), self._magics.jobs()))

    lambda_status.__doc__ = STATUS_HELP

    @no_var_expand
    @line_magic
    def lambda_clean(self, line: str) -> None:
        from lithops_magic.notebook.display.status import clean, show

        given = options_only(line, options.CLEAN, "%lambda_clean", self.shell.user_ns)
        if given.help:
            page(CLEAN_HELP)
        else:
            agree = _always if given.yes else self._agree
            show(clean(self._magics.settings(given), dry_run=given.dry_run, agree=agree))

    def _agree(self, question: str) -> bool:
        try:
            return self.shell.ask_yes_no(f"{question} [y/N]", "n")  # type: ignore[no-any-return, no-untyped-call]
        except (NotImplementedError, EOFError, OSError):  # there is no one to answer
            return False

    lambda_clean.__doc__ = CLEAN_HELP

    @no_var_expand
    @line_magic
    def lambda_cache(self, line: str) -> None:
        from lithops_magic.notebook.display.cache import cache
        from lithops_magic.notebook.display.status import show

        which, given = split_options(line, options.CACHE, self.shell.user_ns)
        if given.help:
            page(CACHE_HELP)
            return
        refuse_unknown_flag(which, by_flag(options.CACHE))
        if given.yes and not given.clear:
            raise UsageError("--yes is for --clear: `%lambda_cache --clear --yes` deletes without asking")
        agree = _always if given.yes else self._agree
        which = expand(which, self.shell.user_ns).strip("\"'")
        show(cache(self._magics.settings(given), which, delete=given.clear, agree=agree))

    lambda_cache.__doc__ = CACHE_HELP

    @no_var_expand
    @line_magic
    def lambda_logs(self, line: str) -> str | LogLines | None:
        from lithops_magic.notebook.display.logs import logs

        __tracebackhide__ = True
        source, given = split_options(line, options.LOGS, self.shell.user_ns)
        if given.help:
            page(LOGS_HELP)
            return None
        found = logs(self.shell, source, given.grep, follow=given.follow)
        return None if is_silenced(line) else found

    lambda_logs.__doc__ = LOGS_HELP

    @no_var_expand
    @line_magic
    def lambda_attach(self, line: str) -> MapResult | None:
        __tracebackhide__ = True
        job_id, given = split_options(line, options.ATTACH, self.shell.user_ns)
        if given.help:
            page(ATTACH_HELP)
            return None
        refuse_unknown_flag(job_id, by_flag(options.ATTACH))
        from lithops_magic.engine.attach import attach
        from lithops_magic.notebook.display.run_job import run

        settings = self._magics.settings(given)
        job = expand(job_id, self.shell.user_ns).strip("\"'") or self._latest()
        start = partial(attach, job, resume=given.resume, settings=settings)
        result = run(self.shell, self._magics.view(given, out=given.out), start, self._magics.remember)
        # A value that is returned is displayed, unless it was bound to a name, as with an assignment.
        return None if given.out or is_silenced(line) else result

    lambda_attach.__doc__ = ATTACH_HELP

    def _latest(self) -> str:
        """Return this notebook's latest job."""
        from lithops_magic.engine.durable.listing import jobs

        name = notebook_name(self.shell)
        # The latest first; without a notebook's name, the latest of all.
        for job in jobs():
            if not name or job.about.startswith(f"{name}: "):
                return job.id
        whose = f"of {name} " if name else ""
        raise UsageError(f"no job {whose}was found; %lambda_status lists the jobs of this machine")


def _always(_: str) -> bool:
    return True
