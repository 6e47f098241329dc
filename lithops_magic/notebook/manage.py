"""The magics around the jobs: `%lambda_status`, `%lambda_logs` and `%lambda_clean`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.core.page import page

from lithops_magic.notebook import grammar, options
from lithops_magic.notebook.help import CLEAN_HELP, LOGS_HELP, STATUS_HELP

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.notebook.magics import LambdaMagics


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
        from lithops_magic.notebook.status import show, status

        given = grammar.options_only(line, options.MANAGE, "%lambda_status")
        if given.help:
            page(STATUS_HELP)
        else:
            show(status(self._magics.settings(given), self._magics.jobs()))

    lambda_status.__doc__ = STATUS_HELP

    @no_var_expand
    @line_magic
    def lambda_clean(self, line: str) -> None:
        from lithops_magic.notebook.status import clean, show

        given = grammar.options_only(line, options.MANAGE, "%lambda_clean")
        if given.help:
            page(CLEAN_HELP)
        else:
            show(clean(self._magics.settings(given)))

    lambda_clean.__doc__ = CLEAN_HELP

    @no_var_expand
    @line_magic
    def lambda_logs(self, line: str) -> None:
        from lithops_magic.notebook.logs import print_logs

        __tracebackhide__ = True
        source, given = grammar.split_options(line.rstrip().removesuffix(";"), options.LOGS)
        if given.help:
            page(LOGS_HELP)
        else:
            print_logs(self.shell, source, given.grep)

    lambda_logs.__doc__ = LOGS_HELP
