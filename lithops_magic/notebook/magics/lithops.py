"""`%lambda_lithops` and `%%lambda_lithops`: run a program or cell that says `import lithops` unmodified."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.core.page import page

from lithops_magic.notebook.magics.help_text import help_text
from lithops_magic.notebook.parse.expand import expand
from lithops_magic.notebook.parse.first_line import is_silenced
from lithops_magic.notebook.parse.usage_error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

LITHOPS_HELP = help_text(
    "Run a program written for Lithops on this engine, unmodified.",
    "    %lambda_lithops PROGRAM.py [ARGUMENTS]\n\n    %%lambda_lithops\n    CELL",
    "While it runs, `import lithops` imports lithops_magic.lithops. Where it runs, and with how much memory, Lithops' "
    "own configuration says; without one, on the local AWS. What a program defines at its top is in the notebook "
    "afterwards, as with %run. --help shows this.\n\nLITHOPS.md says what differs for each of Lithops' calls.",
    (),
    "    %lambda_lithops examples/map_reduce.py\n\n"
    "    %%lambda_lithops\n"
    "    import lithops\n"
    "    fexec = lithops.FunctionExecutor()\n"
    "    fexec.map(lambda x: x ** 2, range(10))\n"
    "    fexec.get_result()",
)


@magics_class
class LithopsMagics(Magics):
    """Runs what was written for Lithops."""

    shell: InteractiveShell

    @no_var_expand
    @line_cell_magic
    def lambda_lithops(self, line: str, cell: str | None = None) -> Any:
        __tracebackhide__ = True
        if line.split()[:1] == ["--help"]:
            page(LITHOPS_HELP)
            return None
        if cell is None:
            self._run_program(line)
            return None
        if line.partition("#")[0].strip():
            raise UsageError("%%lambda_lithops takes nothing on its line: the cell below is what it runs")
        value = self._run_cell(cell)
        return None if is_silenced(line, cell) else value

    lambda_lithops.__doc__ = LITHOPS_HELP

    def _run_program(self, line: str) -> None:
        from lithops_magic.lithops import stand_in

        __tracebackhide__ = True
        try:
            words = shlex.split(expand(line, self.shell.user_ns), comments=True)
        except ValueError as error:
            raise UsageError(f"%lambda_lithops: {error}") from None
        if not words:
            raise UsageError("%lambda_lithops needs a program: `%lambda_lithops program.py`")
        program = Path(words[0]).expanduser()
        if not program.is_file():
            raise UsageError(f"there is no file {words[0]}")
        names = stand_in.run(program, words[1:])
        self.shell.user_ns.update({name: value for name, value in names.items() if not name.startswith("__")})

    def _run_cell(self, cell: str) -> Any:
        from lithops_magic.lithops import stand_in

        __tracebackhide__ = True
        source = self.shell.transform_cell(cell)  # type: ignore[no-untyped-call]
        name = self.shell.compile.cache(source, self.shell.execution_count, raw_code=cell)
        body = cast("ast.Module", self.shell.compile.ast_parse(source, filename=name)).body
        last = body[-1] if body and isinstance(body[-1], ast.Expr) else None
        # Only while the cell runs: another cell may import the real Lithops.
        with stand_in.installed():
            exec(
                compile(ast.Module(body[:-1] if last else body, []), name, "exec", dont_inherit=True),
                self.shell.user_ns,
            )
            if last is None:
                return None
            return eval(compile(ast.Expression(last.value), name, "eval", dont_inherit=True), self.shell.user_ns)
