"""The magic `%lambda_export`: its parsing and help; everything else is imported on first use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.core.page import page

from lithops_magic.notebook.magics import config
from lithops_magic.notebook.parse.tokens import without_comment
from lithops_magic.notebook.parse.usage_error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.notebook.session import Session

HELP = """\
Write the notebook to a file to share.

    %lambda_export FILE [NOTEBOOK]

    FILE.ipynb  the notebook with its outputs, all static
    FILE.html   one page that opens in any browser, offline too
    FILE.py     a Python script in which mapped cells call lithops_magic.map

Save the notebook first: its file is what is exported. JupyterLab, Notebook 7
and VS Code say where it is; elsewhere name it as NOTEBOOK, or the cells that
were run in this session are written. An existing FILE is replaced only if this
magic has written it.

Replaced by dots, in code and outputs: the AWS credentials that this session
knows; the values of variables, of the notebook and of the environment, named
like secrets (API_KEY, password, token, ...); what is assigned to such a name;
and what looks like a key, a token, a private key or a password in a URL.
Anything else stays: read the file before you share it.

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
        words = config.words(without_comment(line)[0])
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
