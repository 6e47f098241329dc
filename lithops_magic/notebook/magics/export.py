"""The magic `%lambda_export`: its line and its help; what it needs is imported when it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.core.page import page

from lithops_magic.notebook.magics import config
from lithops_magic.notebook.parse import grammar
from lithops_magic.notebook.parse.usage_error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.notebook.session import Session

HELP = """\
Write the notebook to a file that others can use.

    %lambda_export FILE [NOTEBOOK]

    FILE.ipynb  the notebook as it was executed, with static outputs only
    FILE.html   one page that opens in any browser, without a network
    FILE.py     a Python script in which the mapped cells are calls of lithops_magic.map

No secret is written: neither credentials that this session knows, nor values of variables that are called like one.

The notebook is read from its file, so save it first. JupyterLab, Notebook 7 and VS Code tell where it is; elsewhere
name it as NOTEBOOK, or what was run in this session is written. FILE is replaced only if this magic has written it.

Examples:

    %lambda_export report.html
    %lambda_export report.py ../analysis.ipynb
"""
_WRITE = "write `%lambda_export FILE.ipynb`, FILE.py or FILE.html; see `%lambda_export --help`"


@magics_class
class ExportMagics(Magics):
    """Writes the notebook to files."""

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self._session = session

    @no_var_expand
    @line_magic
    def lambda_export(self, line: str) -> None:
        __tracebackhide__ = True
        words = config.words(grammar.bare(line)[0])
        if "--help" in words:
            page(HELP)
            return
        flag = next((word for word in words if word.startswith("-")), None)
        if flag is not None:
            raise UsageError(f"unknown option {flag}; {_WRITE}")
        if not 1 <= len(words) <= 2:
            raise UsageError(_WRITE)
        from lithops_magic.notebook.export.command import export

        target, *named = words
        export(self.shell, self._session, Path(target).expanduser(), named[0] if named else None)


ExportMagics.lambda_export.__doc__ = HELP
